"""The errors that `har` raises on purpose.

HarError                 everything below: shown as one line, no traceback without --debug
 +- UserError            a mistake the user can mend: exit code 2
 |   +- ConfigError      the config file or a command-line value
 |   +- SourceError      a camera, video or folder that cannot be opened
 |   +- ClipError        a clip set or clip file that does not fit its description
 |   +- BundleError      a model bundle that does not verify
 |   +- WeightsError     pose weights that are missing or wrong
 |   +- AnnotationError  an annotation file, or a picture it names, that does not fit its description
 +- BrokerError          the MQTT broker cannot be reached or started
 +- StoreError           the database or state folder cannot be used
 +- PoseError            the pose estimator failed
 +- TrainingError        a training run cannot begin or go on
 +- ShapeError           an array does not fit its layout: a bug in the caller
"""


class HarError(Exception):
    """Anything `har` raises on purpose; its text says what, where and what to do."""


class UserError(HarError):
    """A mistake the user can mend; the command line answers it with exit code 2."""


class ConfigError(UserError):
    """The config file or a command-line value is wrong."""


class SourceError(UserError):
    """A camera, video or folder cannot be opened or read."""


class ClipError(UserError):
    """A clip set or clip file does not fit its description."""


class BundleError(UserError):
    """A model bundle does not verify."""


class WeightsError(UserError):
    """Pose weights are missing or wrong."""


class AnnotationError(UserError):
    """An annotation file, or a picture it names, does not fit its description."""


class BrokerError(HarError):
    """The MQTT broker cannot be reached or started."""


class StoreError(HarError):
    """The database or the state folder cannot be used."""


class PoseError(HarError):
    """The pose estimator failed."""


class TrainingError(HarError):
    """A training run cannot begin or go on."""


class ShapeError(HarError):
    """An array does not fit its layout."""
