"""Networks: one file each, with `build(input_shape, classes) -> keras.Model`.

A model takes numbers of about 1 (pixels are standardized before it, inside the
step) and returns logits. A trailing number in a name is the depth.
"""
