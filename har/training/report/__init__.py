"""The report of `har evaluate --report`: measures under changed conditions, pictures and a page to read."""
