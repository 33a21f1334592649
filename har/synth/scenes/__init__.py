"""Pictures of furnished rooms with nobody to four people in them, each with the exact truth as COCO annotations."""
