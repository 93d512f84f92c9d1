//! The cosines and sines of the rotary embedding, on the device.

use candle_core::{Device, Result, Tensor};

/// Tables of all positions used so far.
#[derive(Default)]
pub(super) struct Angles {
    /// Cosines and sines, `(positions, head / 2)` each.
    tables: Option<[Tensor; 2]>,
    positions: usize,
}

/// The angles of some rows.
pub(super) struct Turn {
    /// `(rows, head / 2)`.
    pub(super) cosines: Tensor,
    /// `(rows, head / 2)`.
    pub(super) sines: Tensor,
}

impl Angles {
    /// Returns the angles of rows at `positions`.
    pub(super) fn of(&mut self, frequencies: &[f64], positions: &[usize], device: &Device) -> Result<Turn> {
        let needed = positions.iter().max().map_or(0, |last| last + 1);
        let [cosines, sines] = match &self.tables {
            Some(tables) if needed <= self.positions => tables,
            _ => {
                let positions = needed.next_power_of_two();
                let table = |function: fn(f64) -> f64| {
                    let angles = (0..positions).flat_map(|position| {
                        frequencies.iter().map(move |frequency| function(position as f64 * frequency) as f32)
                    });
                    Tensor::from_vec(angles.collect(), (positions, frequencies.len()), device)
                };
                self.positions = positions;
                self.tables.insert([table(f64::cos)?, table(f64::sin)?])
            }
        };
        let index = super::stack::index(positions, device)?;
        Ok(Turn { cosines: cosines.index_select(&index, 0)?, sines: sines.index_select(&index, 0)? })
    }
}
