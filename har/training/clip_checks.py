"""What is wrong with clips before anything is learnt from them: said in a line that names a clip and the cure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from har.clips import Clip
from har.errors import ClipError
from har.training.dataset import label_names, labels_of
from har.training.persons import people_joints


def check_clips(clips: Sequence[Clip]) -> list[str]:
    """Check that clips can teach at least two labels.

    Args:
        clips: those to learn from.

    Returns:
        Notes for people: what is left out, and what is too little.

    Raises:
        ClipError: no clips, no labels, one label only, or a label that no usable clip shows.
    """
    if not clips:
        raise ClipError("there are no clips to learn from. Check the clip set and the split.")
    labelled = [clip for clip in clips if labels_of(clip)]
    names = label_names(labelled)
    if not names:
        raise ClipError(
            f"none of the {len(clips)} clips has a label, clip {clips[0].id!r} for one. Extract or import them with "
            "--labels, or write `label` or `spans` into the clip set."
        )
    if len(names) == 1:
        raise ClipError(
            f"all labelled clips show {names[0]!r}, clip {labelled[0].id!r} for one. A model tells labels apart: add "
            "clips of at least one other."
        )
    unseen = [clip for clip in labelled if not _is_anybody_seen(clip)]
    stills = [clip for clip in labelled if len(clip.time_s) == 1]
    _require_every_label(names, labelled, unseen=unseen, stills=stills)
    return _notes(clips, names, unseen=unseen, stills=stills)


def _is_anybody_seen(clip: Clip) -> bool:
    return bool((people_joints(clip, layout=clip.layout)[..., -1] > 0).any())


def _require_every_label(
    names: Sequence[str], labelled: Sequence[Clip], *, unseen: Sequence[Clip], stills: Sequence[Clip]
) -> None:
    useless = {id(clip): "joints are all missing or zero" for clip in unseen}
    useless |= {id(clip): "it has one frame, and an action takes several" for clip in stills}
    for name in names:
        showing = [clip for clip in labelled if name in labels_of(clip)]
        if all(id(clip) in useless for clip in showing):
            clip = showing[0]
            raise ClipError(
                f"clip {clip.id!r}: {useless[id(clip)]}, and no other clip shows {name!r} better. Record {name!r} "
                "again, or take the label out."
            )


def _notes(clips: Sequence[Clip], names: Sequence[str], *, unseen: Sequence[Clip], stills: Sequence[Clip]) -> list[str]:
    notes = []
    if unlabelled := [clip for clip in clips if not labels_of(clip)]:
        notes.append(f"{_count(unlabelled, 'without a label')} not learnt from; label what they show.")
    if unseen:
        notes.append(f"{_count(unseen, 'with joints all missing or zero')} not learnt from; extract them again.")
    if stills:
        notes.append(f"{_count(stills, 'of one frame')} learnt from as if the person stood still; better leave out.")
    counts = Counter(label for clip in clips for label in labels_of(clip))
    for name in names:
        if counts[name] == 1:
            clip = next(clip for clip in clips if name in labels_of(clip))
            notes.append(
                f"label {name!r} is shown by one clip only, {clip.id!r}: how well it is known cannot be checked. "
                "Record more, or take the label out."
            )
    return notes


def _count(clips: Sequence[Clip], what: str) -> str:
    if len(clips) == 1:
        return f"clip {clips[0].id!r}, {what}, is"
    return f"{len(clips)} clips {what}, {clips[0].id!r} for one, are"
