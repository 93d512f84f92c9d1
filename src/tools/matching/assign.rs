//! Perfect matchings between expectations and calls.

/// Returns the rows that stay unmatched in a largest matching; `fits[row][column]` says what may be paired.
///
/// Augmenting paths (Kuhn), a cost of rows × pairs: small for the few hundred calls that parsing lets through.
pub(in crate::tools) fn unmatched(fits: &[Vec<bool>]) -> Vec<usize> {
    let columns = fits.first().map_or(0, Vec::len);
    let mut row_of = vec![None; columns];
    (0..fits.len()).filter(|&row| !augment(fits, row, &mut vec![false; columns], &mut row_of)).collect()
}

fn augment(fits: &[Vec<bool>], row: usize, seen: &mut [bool], row_of: &mut [Option<usize>]) -> bool {
    for column in 0..seen.len() {
        if !fits[row][column] || seen[column] {
            continue;
        }
        seen[column] = true;
        let free = match row_of[column] {
            None => true,
            Some(other) => augment(fits, other, seen, row_of),
        };
        if free {
            row_of[column] = Some(row);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greed_fails_where_a_matching_exists() {
        // Row 0 fits both columns, row 1 only the first: taking the first fit for row 0 leaves row 1 alone.
        assert!(unmatched(&[vec![true, true], vec![true, false]]).is_empty());
        assert_eq!(unmatched(&[vec![true, false], vec![true, false]]), [1]);
        assert!(unmatched(&[]).is_empty());
    }
}
