"""The files of a net on disk: read by contenders that do without Keras, too."""

MODEL, CALLS, WEIGHTS, SETTINGS = "model.keras", "calls.json", "weights.npz", "run.json"
