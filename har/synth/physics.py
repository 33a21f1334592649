"""One body in MuJoCo: put into a posture, given muscle tone, pushed about, and read back as points and angles."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from har.errors import ConfigError
from har.synth.body import ANGLES, N_ANGLES, POINTS, A, Array, Body
from har.synth.mjcf import STEP_S, person_and_room
from har.synth.motion import RATE_HZ
from har.synth.shapes import Box

SUBSTEPS = round(1 / (RATE_HZ * STEP_S))
_STEEP_RAD = 0.8  # a trunk leaned less than this is described by pitch and roll, a lying one by pitch and spin


def load_mujoco() -> Any:
    """Import MuJoCo, which has no types, or say how to get it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("mujoco")
    except ImportError:
        raise ConfigError(
            "simulated falls need MuJoCo, which is not installed. Install it with: make setup, or pip install mujoco"
        ) from None


class Ragdoll:
    """A body with joints of some stiffness among boxes, advanced in steps of the motion's rate.

    Args:
        body: whose.
        boxes: furniture and walls.
    """

    def __init__(self, body: Body, boxes: Sequence[Box] = ()) -> None:
        self._mj = load_mujoco()
        self._model = self._mj.MjModel.from_xml_string(person_and_room(body, boxes))
        self._data = self._mj.MjData(self._model)
        names = [self._model.joint(i).name for i in range(self._model.njnt)]
        self._joints = names[1:]  # the first is the free joint
        self._angle = np.array([A[_plain(name)] for name in self._joints])
        self._share = np.array([0.5 if name.startswith(("low_", "high_")) else 1.0 for name in self._joints])
        self._full_stiffness = self._model.jnt_stiffness[1:].copy()
        self._full_damping = self._model.dof_damping[6:].copy()
        self._sites = np.array([self._model.site(name).id for name in POINTS])
        self.mass_kg = float(self._model.body_mass.sum())

    def put(self, angles: Array, pelvis_m: Array, *, before: tuple[Array, Array] | None = None) -> None:
        """Put the body into a posture at a place, at rest or moving.

        Args:
            angles: (A,) radians.
            pelvis_m: (3,) where the pelvis is.
            before: the same one motion step earlier, to take velocities from.
        """
        qpos = self._qpos(angles, pelvis_m)
        self._mj.mj_resetData(self._model, self._data)
        if before is not None:
            velocity = np.zeros(self._model.nv)
            self._mj.mj_differentiatePos(self._model, velocity, 1.0 / RATE_HZ, self._qpos(*before), qpos)
            self._data.qvel[:] = np.clip(velocity, -8.0, 8.0)
        self._data.qpos[:] = qpos
        self._mj.mj_forward(self._model, self._data)

    def _qpos(self, angles: Array, pelvis_m: Array) -> Array:
        turns = (("z", "yaw"), ("y", "pitch"), ("x", "roll"), ("z", "spin"))
        whole = np.array([1.0, 0.0, 0.0, 0.0])
        for axis, name in turns:
            half = 0.5 * angles[A[name]]
            one = np.array([np.cos(half), *(np.sin(half) * (np.array(list("xyz")) == axis))])
            product = np.zeros(4)
            self._mj.mju_mulQuat(product, whole, one)
            whole = product
        return np.concatenate([pelvis_m, whole, angles[self._angle] * self._share])

    def brace(self, target: Array, tone: Mapping[str, float] | float, *, damping: float = 1.0) -> None:
        """Let the muscles pull towards a posture.

        Args:
            target: (A,) radians; the pelvis' own angles do not count.
            tone: share of the full stiffness, for all joints or by the parts named in `PARTS`.
            damping: factor of the joints' damping; muscles without tone damp less, but never nothing.
        """
        share = np.array([tone if isinstance(tone, float) else tone[PARTS[_plain(name)]] for name in self._joints])
        self._model.jnt_stiffness[1:] = self._full_stiffness * share
        self._model.dof_damping[6:] = self._full_damping * damping * (0.25 + 0.75 * np.minimum(share, 1.0))
        self._model.qpos_spring[7:] = target[self._angle] * self._share

    def push(self, part: str, force_n: Array) -> None:
        """Pull a part of the body with a force until told otherwise.

        Args:
            part: name of a body of the model, e.g. "high" or "left_foot".
            force_n: (3,) newtons, in the room.
        """
        self._data.body(part).xfrc_applied[:3] = force_n

    def twist(self, part: str, torque_nm: Array) -> None:
        """Turn a part of the body with a torque (3,) until told otherwise."""
        self._data.body(part).xfrc_applied[3:] = torque_nm

    def make_slippery(self, parts: Sequence[str], *, friction: float) -> None:
        """Change the friction of some balls of flesh, e.g. "left_heel"."""
        for name in parts:
            self._model.geom(f"{name}_ball").friction[0] = friction
            self._model.geom(f"{name}_ball").priority[0] = 1

    def step(self) -> None:
        """Advance by one frame of the motion."""
        self._mj.mj_step(self._model, self._data, SUBSTEPS)

    @property
    def points(self) -> Array:
        """(P, 3) metres in the room."""
        return np.array(self._data.site_xpos[self._sites])

    @property
    def angles(self) -> Array:
        """(A,) the posture as angles; both halves of the spine count alike."""
        angles = np.zeros(N_ANGLES)
        np.add.at(angles, self._angle, self._data.qpos[7:])
        turn = np.zeros(9)
        self._mj.mju_quat2Mat(turn, self._data.qpos[3:7])
        angles[:4] = pelvis_angles(turn.reshape(3, 3))
        return angles

    def velocity(self, part: str) -> Array:
        """(3,) m/s of a part's centre of mass, in the room."""
        answer = np.zeros(6)
        body = self._mj.mjtObj.mjOBJ_BODY
        self._mj.mj_objectVelocity(self._model, self._data, body, self._model.body(part).id, answer, 0)
        return answer[3:]


def _plain(joint: str) -> str:
    """Give the angle that a joint of the model is, or half of one."""
    for prefix in ("low_", "high_"):
        joint = joint.removeprefix(prefix)
    return joint


PARTS: Mapping[str, str] = {
    name: "trunk" if "spine" in name else "head" if "head" in name else "arms" if "arm" in name or "elbow" in name
    else "legs" for name in ANGLES
}  # fmt: skip
"""Which muscles move which angle: trunk, head, arms or legs."""


def pelvis_angles(turn: Array) -> tuple[float, float, float, float]:
    """Give yaw, pitch, roll and spin of a pelvis whose axes are the columns of `turn` (3, 3)."""
    if np.arccos(np.clip(turn[2, 2], -1, 1)) < _STEEP_RAD:
        yaw = float(np.arctan2(turn[1, 0], turn[0, 0]))
        level = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1.0]]) @ turn
        # level = Ry(pitch) Rx(roll) Rz(spin)
        roll = float(np.arcsin(np.clip(-level[1, 2], -1, 1)))
        return yaw, float(np.arctan2(level[0, 2], level[2, 2])), roll, float(np.arctan2(level[1, 0], level[1, 1]))
    ways = []
    for sign in (1.0, -1.0):
        yaw = float(np.arctan2(sign * turn[1, 2], sign * turn[0, 2]))
        pitch = sign * float(np.arccos(np.clip(turn[2, 2], -1, 1)))
        spin = float(np.arctan2(sign * turn[2, 1], -sign * turn[2, 0]))
        ways.append((yaw, pitch, 0.0, spin))
    return min(ways, key=lambda way: abs(way[3]))
