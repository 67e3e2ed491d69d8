"""Train a small net on scikit-learn's handwritten digits and write it as an instruction model.

Writes ``digits.json`` (the model), ``rows.csv`` (the held-out images, one row of 64 pixels each)
and ``labels.csv`` (their digits) beside this file. Needs ``pip install 'instjit[examples]'``:

    python examples/digits/train.py
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
WIDTHS = (64, 64, 32, 10)
ACTIVATIONS = ("RELU", "RELU", "SOFTMAX")
PIXEL_MAXIMUM = 16.0
VALIDATION_ROWS = 3


def decimals(values: NDArray[Any]) -> Any:
    """Nested lists of the shortest decimals that read back as the same float32."""
    if values.ndim > 1:
        return [decimals(row) for row in values]
    return [float(str(value)) for value in values.astype(np.float32)]


def document(net: MLPClassifier) -> dict[str, Any]:
    """Turn a fitted net over pixels / 16 into an instruction model over raw pixels."""
    layers = range(len(ACTIVATIONS))
    scale: dict[str, Any] = {"type": "MUL_ELEMENTWISE", "input": 0, "parameters": 0}
    return {
        "features": [f"pixel_{row}_{column}" for row in range(8) for column in range(8)],
        "buffer_sizes": list(WIDTHS),
        "instructions": [scale]
        + [
            {
                "type": "DOT",
                "input": layer,
                "output": layer + 1,
                "weights": layer,
                "activation": ACTIVATIONS[layer],
            }
            for layer in layers
        ],
        "weights": [decimals(matrix.T) for matrix in net.coefs_],
        "bias": [decimals(vector) for vector in net.intercepts_],
        "parameters": [decimals(np.full(WIDTHS[0], 1.0 / PIXEL_MAXIMUM))],
    }


def probabilities(model: dict[str, Any], pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Evaluate the written figures in float64: what the embedded validation rows expect."""
    value = pixels.astype(np.float64) * np.array(model["parameters"][0])
    for matrix, bias in zip(model["weights"], model["bias"], strict=True):
        value = value @ np.array(matrix).T + np.array(bias)
        if matrix is not model["weights"][-1]:
            value = np.maximum(value, 0.0)
    value = np.exp(value - value.max(axis=1, keepdims=True))
    return np.asarray(value / value.sum(axis=1, keepdims=True))


def write_csv(path: Path, header: list[str], rows: list[list[int]]) -> None:
    """Write one header line and the rows."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    """Train, write the three files, print the accuracy on the held-out images."""
    pixels, digits = load_digits(return_X_y=True)
    train_pixels, held_pixels, train_digits, held_digits = train_test_split(
        pixels, digits, test_size=0.2, random_state=0, stratify=digits
    )
    net = MLPClassifier(WIDTHS[1:-1], alpha=1e-3, max_iter=400, random_state=0)
    net.fit(train_pixels / PIXEL_MAXIMUM, train_digits)

    model = document(net)
    result = probabilities(model, held_pixels)
    model["validation_data"] = {
        "inputs": decimals(held_pixels[:VALIDATION_ROWS]),
        "expected_outputs": decimals(result[:VALIDATION_ROWS]),
    }
    (HERE / "digits.json").write_text(json.dumps(model, separators=(",", ":")) + "\n")
    write_csv(HERE / "rows.csv", model["features"], held_pixels.astype(int).tolist())
    write_csv(HERE / "labels.csv", ["label"], [[int(digit)] for digit in held_digits])
    right = int((result.argmax(axis=1) == held_digits).sum())
    print(f"{right} of {len(held_digits)} held-out digits right ({right / len(held_digits):.1%})")


if __name__ == "__main__":
    main()
