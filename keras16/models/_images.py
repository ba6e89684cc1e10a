"""The one refusal that the networks for images share."""

from __future__ import annotations

from keras16.errors import UserError


def check(
    name: str, input_shape: tuple[int, ...], smallest: int, instead: str = "dnn"
) -> None:
    """Refuses inputs that are no images, or too small for a net's poolings.

    Args:
        name: Of the net, such as "vgg16".
        input_shape: Without the batch; wanted is (height, width, channels).
        smallest: The least height and width, in pixels.
        instead: The model to use for images that are too small.

    Raises:
        UserError: They are.
    """
    if len(input_shape) != 3:
        instead = "dnn"
    elif min(input_shape[:2]) >= smallest:
        return
    raise UserError(
        f"model {name} wants images of {smallest} x {smallest} pixels or more, not "
        f"inputs of shape {input_shape}: use --model {instead}."
    )
