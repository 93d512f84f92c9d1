//! Equality of JSON values as Python's `==` sees them: `1 == 1.0 == True`, maps without order.
//!
//! ToolRL's reward and BFCL's checker both compare parsed JSON with Python's operator, so their numbers depend on it.

use serde_json::{Map, Number, Value};

/// Returns whether two JSON values are equal in Python.
pub fn python_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| python_equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => python_equal_maps(left, right),
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Bool(truth), Value::Number(number)) | (Value::Number(number), Value::Bool(truth)) => {
            numbers_equal(&Number::from(u8::from(*truth)), number)
        }
        (Value::Number(left), Value::Number(right)) => numbers_equal(left, right),
        _ => false,
    }
}

/// Returns whether two JSON objects are equal in Python.
pub fn python_equal_maps(left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    left.len() == right.len()
        && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| python_equal(value, other)))
}

/// Returns whether two lists hold equal values in some order.
pub fn same_multiset(left: &[Value], right: &[Value]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    // Python's equality is an equivalence on JSON values, so taking the first partner loses nothing.
    let mut free: Vec<&Value> = right.iter().collect();
    left.iter().all(|value| match free.iter().position(|other| python_equal(value, other)) {
        Some(index) => {
            free.swap_remove(index);
            true
        }
        None => false,
    })
}

fn whole(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Compares exactly, as Python does: a float equals an integer only if it *is* that integer.
fn numbers_equal(left: &Number, right: &Number) -> bool {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left == right,
        (None, None) => left.as_f64() == right.as_f64(),
        (Some(whole), None) => float_is(right, whole),
        (None, Some(whole)) => float_is(left, whole),
    }
}

fn float_is(number: &Number, whole: i128) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "saturates beyond i128, where no 64-bit integer is")]
    number.as_f64().is_some_and(|float| float.fract() == 0.0 && float as i128 == whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_truth_values_are_one_kind() {
        assert!(python_equal(&json!(1), &json!(1.0)));
        assert!(python_equal(&json!(true), &json!(1.0)));
        assert!(python_equal(&json!([0, { "a": 1 }]), &json!([false, { "a": true }])));
        assert!(!python_equal(&json!(1), &json!("1")));
        assert!(!python_equal(&json!(0), &json!(null)));
        assert!(!python_equal(&json!(1), &json!(1.5)));
    }

    #[test]
    fn large_integers_are_not_rounded() {
        assert!(!python_equal(&json!(9_007_199_254_740_993_i64), &json!(9_007_199_254_740_992.0)));
        assert!(python_equal(&json!(u64::MAX), &json!(u64::MAX)));
    }

    #[test]
    fn order_counts_in_lists_only() {
        assert!(python_equal(&json!({ "a": 1, "b": 2 }), &json!({ "b": 2, "a": 1 })));
        assert!(!python_equal(&json!([1, 2]), &json!([2, 1])));
        assert!(same_multiset(&[json!(1), json!(2), json!(1)], &[json!(2), json!(true), json!(1.0)]));
        assert!(!same_multiset(&[json!(1), json!(1), json!(2)], &[json!(1), json!(2), json!(2)]));
    }
}
