"""Pose estimators that are held against one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from har.pose import MASKRCNN, Estimator, open_estimator, plain_people
from har.pose.bundle import load_pose_bundle, pose_bundle_kind
from har.pose.coco import Picture
from har.pose.estimators import bundle_of
from har.pose.metrics import Guess


@dataclass(frozen=True, slots=True)
class Contender:
    """An estimator to be judged.

    Attributes:
        name: as the user wrote it.
        max_people: most people that it is asked for in a picture.
    """

    name: str
    max_people: int

    @property
    def most_people(self) -> int:
        """What it really looks for: `num_poses=N` says so itself."""
        return plain_people(self.name) or self.max_people

    @property
    def remembers(self) -> bool:
        """Its answer depends on what it saw before: BlazePose's do, those of trained networks do not."""
        return self.name.partition(":")[0] != MASKRCNN and not Path(self.name).expanduser().is_dir()

    def open(self, *, masks: bool) -> Estimator:
        """Open it anew: it has seen nothing yet. With masks it draws outlines, if it can."""
        return open_estimator(self.name, max_people=self.max_people, masks=masks)

    def open_for_unsure(self) -> Callable[[Picture], list[Guess]] | None:
        """Open it so that it tells those of whom it is unsure, too; None where it cannot."""
        if self.remembers or pose_bundle_kind(bundle_of(self.name)[0]) != MASKRCNN:
            return None
        import torch

        from har.pose.networks.mask_rcnn import MaskRCNN, MaskRCNNSettings
        from har.training.pose.instances import guess_people

        folder, short_px = bundle_of(self.name)
        bundle = load_pose_bundle(folder)
        settings = bundle.settings_as(MaskRCNNSettings)
        if short_px is not None:
            longer = max(settings.long_px * short_px // settings.short_px, short_px)
            settings = replace(settings, short_px=short_px, long_px=longer)
        network = MaskRCNN(settings)
        bundle.fill(network)
        return partial(guess_people, network.eval(), device=torch.device("cpu"))
