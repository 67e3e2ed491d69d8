"""The cart-pole of Barto, Sutton and Anderson (1983), in the units and constants of Gymnasium.

``physics`` makes its functions for one precision, so that training (NumPy, float64, many carts at
once) and simulation (Numba, float32, one cart at a time) share one definition.
"""

from __future__ import annotations

from collections.abc import Callable
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


def physics(number: type[Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """``step`` and ``upright`` for states of ``number``, np.float32 or np.float64.

    Every constant is of that type: in Numba one float64 among them makes float64 of what it meets,
    which most GPUs compute many times slower. Sine and cosine are written out, as series that are
    exact to float64 for the few degrees that occur; those of CUDA's library use float64 too.
    """
    gravity, force, time_step = number(GRAVITY), number(FORCE), number(TIME_STEP)
    cart, pole, half_length = number(CART_MASS), number(POLE_MASS), number(POLE_HALF_LENGTH)
    position_limit, angle_limit = number(POSITION_LIMIT), number(ANGLE_LIMIT)
    mass, moment = cart + pole, pole * half_length
    one, four_thirds = number(1.0), number(4.0 / 3.0)
    s3, s5, s7, s9, s11 = (number(1 / n) for n in (-6, 120, -5040, 362880, -39916800))
    c2, c4, c6, c8, c10 = (number(1 / n) for n in (-2, 24, -720, 40320, -3628800))

    def step(position: Any, speed: Any, angle: Any, spin: Any, push: Any) -> Any:
        """Advance by one explicit Euler step under ``push`` (-1 to 1 of the full force)."""
        a = angle * angle
        sine = angle * (one + a * (s3 + a * (s5 + a * (s7 + a * (s9 + a * s11)))))
        cosine = one + a * (c2 + a * (c4 + a * (c6 + a * (c8 + a * c10))))
        pull = (force * push + moment * spin * spin * sine) / mass
        inertia = half_length * (four_thirds - pole * cosine * cosine / mass)
        spin_rate = (gravity * sine - cosine * pull) / inertia
        speed_rate = pull - moment * spin_rate * cosine / mass
        return (
            position + time_step * speed,
            speed + time_step * speed_rate,
            angle + time_step * spin,
            spin + time_step * spin_rate,
        )

    def upright(position: Any, angle: Any) -> Any:
        """Whether the cart is on its track and the pole within 12 degrees."""
        return (abs(position) <= position_limit) & (abs(angle) <= angle_limit)

    return step, upright
