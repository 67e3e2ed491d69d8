"""The cart-pole of Barto, Sutton and Anderson (1983), in the units and constants of Gymnasium.

``step`` takes floats or NumPy arrays, so that training (NumPy, many carts at once) and simulation
(Numba, one cart at a time) share one definition.
"""

from __future__ import annotations

from typing import Any

import numpy as np

GRAVITY = 9.8  # m/s^2
CART_MASS = 1.0  # kg
POLE_MASS = 0.1  # kg
POLE_HALF_LENGTH = 0.5  # m
FORCE = 10.0  # N at full push
TIME_STEP = 0.02  # s
POSITION_LIMIT = 2.4  # m
ANGLE_LIMIT = 12.0 * np.pi / 180.0  # rad
LONGEST_EPISODE = 500  # steps
START = 0.05  # every start value lies within +- this


def step(position: Any, speed: Any, angle: Any, spin: Any, push: Any) -> tuple[Any, Any, Any, Any]:
    """Advance by one explicit Euler step under ``push`` (-1 to 1 of the full force)."""
    mass = CART_MASS + POLE_MASS
    sine, cosine = np.sin(angle), np.cos(angle)
    pull = (FORCE * push + POLE_MASS * POLE_HALF_LENGTH * spin * spin * sine) / mass
    inertia = POLE_HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cosine * cosine / mass)
    spin_rate = (GRAVITY * sine - cosine * pull) / inertia
    speed_rate = pull - POLE_MASS * POLE_HALF_LENGTH * spin_rate * cosine / mass
    return (
        position + TIME_STEP * speed,
        speed + TIME_STEP * speed_rate,
        angle + TIME_STEP * spin,
        spin + TIME_STEP * spin_rate,
    )
