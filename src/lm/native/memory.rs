//! How much memory training takes, from the sizes of its buffers.

use crate::lm::Config;
use crate::lm::native::block::{Saved, Scratch};
use crate::lm::native::head;
use crate::lm::native::shape::Shape;

/// Bytes that a pass keeps for each of its rows.
///
/// Every layer keeps what `Saved` lists, `2 hidden + 2 query + 2 key + 2 inner + 2 heads + 2` floats (and queries and keys
/// again where heads are normalised), or with `recompute` its input only, `hidden` floats, and one layer the rest. To
/// that come one layer's scratch and the head's, as if every row predicted a token.
pub(crate) fn row_bytes(config: &Config, recompute: bool) -> u64 {
    let (shape, layers) = (Shape::new(config), config.num_hidden_layers);
    let saved = Saved::width(&shape);
    let kept = if recompute { (layers + 1) * shape.hidden + saved } else { layers * saved };
    // The input of the layer's products, packed, and the gradient of the residual stream.
    let layer = Scratch::width(&shape) + shape.inner + shape.hidden;
    let floats = kept + layer + head::row_floats(&shape);
    4 * floats as u64
}
