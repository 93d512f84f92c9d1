//! The calculator, with the mistakes of the one it stands for.
//!
//! Upstream works on a list of numbers and operators that it shortens, so brackets inside brackets, a sign and doubled
//! operators end in exceptions, or never: where it would go on for ever, this one says so. It evaluates nothing but the
//! four operators.

use serde_json::{Number, Value};

/// Steps after which a formula is taken to be one that never ends: far more than its signs can make.
const MAX_STEPS: usize = 1 << 14;
/// The longest formula, in bytes.
const MAX_BYTES: usize = 1 << 12;

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Number(f64),
    Text(String),
}

/// Returns the value of a formula of whole numbers, `+`, `-`, `*`, `/` and brackets.
///
/// # Errors
/// With the text of the exception that upstream raises.
pub(super) fn calculate(formula: &str) -> Result<Value, String> {
    let formula = formula.replace(' ', "");
    if !is_valid(&formula) {
        return Err("invalid formula".to_owned());
    }
    if formula.len() > MAX_BYTES {
        return Err(format!("the formula is longer than {MAX_BYTES} bytes"));
    }
    let mut steps = 0;
    Ok(match value(items(&formula), &mut steps)? {
        Item::Number(number) => match Number::from_f64(number) {
            Some(number) => number.into(),
            // JSON has no infinity.
            None => number.to_string().into(),
        },
        Item::Text(text) => text.into(),
    })
}

fn is_valid(formula: &str) -> bool {
    let operators = formula.matches(['+', '-', '*', '/']).count();
    formula.bytes().all(|letter| b"0123456789+-*/()".contains(&letter))
        && formula.matches('(').count() == formula.matches(')').count()
        && operators > 0
        && operators + 1 != formula.len()
}

fn items(formula: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut digits = String::new();
    for letter in formula.chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        if !digits.is_empty() {
            items.push(Item::Number(digits.parse().unwrap_or(f64::INFINITY)));
            digits.clear();
        }
        items.push(Item::Text(letter.to_string()));
    }
    if !digits.is_empty() {
        items.push(Item::Number(digits.parse().unwrap_or(f64::INFINITY)));
    }
    items
}

fn position(items: &[Item], sign: &str) -> Option<usize> {
    items.iter().position(|item| matches!(item, Item::Text(text) if text == sign))
}

/// Returns where the first of two operators is.
fn first_of(items: &[Item], signs: [&str; 2]) -> Option<usize> {
    signs.into_iter().filter_map(|sign| position(items, sign)).min()
}

fn value(mut items: Vec<Item>, steps: &mut usize) -> Result<Item, String> {
    const OUT_OF_RANGE: &str = "list index out of range";
    while let Some(open) = position(&items, "(") {
        let close = position(&items, ")").ok_or("')' is not in list")?;
        let inner = items.get(open + 1..close).map(<[Item]>::to_vec).unwrap_or_default();
        let found = value(inner, steps)?;
        items.splice(open..(close + 1).max(open), [found]);
    }
    for signs in [["*", "/"], ["+", "-"]] {
        while let Some(index) = first_of(&items, signs) {
            *steps += 1;
            if *steps > MAX_STEPS {
                return Err("the formula never comes to an end".to_owned());
            }
            // Left of the first item is the last one.
            let left = index.checked_sub(1).unwrap_or(items.len() - 1);
            let right = items.get(index + 1).ok_or(OUT_OF_RANGE)?;
            let Item::Text(sign) = &items[index] else { return Err(OUT_OF_RANGE.to_owned()) };
            let found = operation(&items[left], sign, right)?;
            let end = (index + 2).min(items.len()).max(left);
            items.splice(left..end, [found]);
        }
    }
    items.into_iter().next().ok_or_else(|| OUT_OF_RANGE.to_owned())
}

fn operation(left: &Item, sign: &str, right: &Item) -> Result<Item, String> {
    let kind = |item: &Item| if matches!(item, Item::Number(_)) { "float" } else { "str" };
    match (left, right, sign) {
        (Item::Number(left), Item::Number(right), "+") => Ok(Item::Number(left + right)),
        (Item::Number(left), Item::Number(right), "-") => Ok(Item::Number(left - right)),
        (Item::Number(left), Item::Number(right), "*") => Ok(Item::Number(left * right)),
        (Item::Number(_), Item::Number(0.0), _) => Err("float division by zero".to_owned()),
        (Item::Number(left), Item::Number(right), _) => Ok(Item::Number(left / right)),
        (Item::Text(left), Item::Text(right), "+") => Ok(Item::Text(format!("{left}{right}"))),
        (Item::Text(_), Item::Number(_), "+") => Err(r#"can only concatenate str (not "float") to str"#.to_owned()),
        (_, right, "*") => {
            let other = if matches!(left, Item::Text(_)) { kind(right) } else { "float" };
            Err(format!("can't multiply sequence by non-int of type '{other}'"))
        }
        (left, right, sign) => {
            Err(format!("unsupported operand type(s) for {sign}: '{}' and '{}'", kind(left), kind(right)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_worked_out_from_the_left() {
        assert_eq!(calculate("(5+6)*3"), Ok(33.0.into()));
        assert_eq!(calculate("100 / 5 - 2 * 3"), Ok(14.0.into()));
        assert_eq!(calculate("(1+2)*(3+4)"), Ok(21.0.into()));
    }

    #[test]
    fn what_upstream_cannot_do_ends_in_its_exceptions() {
        let texts = [
            "1+",
            "",
            "2**3",
            "((1+2)*3)",
            "5-(0)",
            "1/0",
            "12+",
            "()+1",
            "-15",
            "-5+3",
            "(1+2",
            "12**3",
            ")1+2(",
            "1.5+2",
        ];
        assert_eq!(
            texts.map(calculate),
            [
                Err("invalid formula".to_owned()),
                Err("invalid formula".to_owned()),
                Err("can't multiply sequence by non-int of type 'float'".to_owned()),
                Err("')' is not in list".to_owned()),
                Ok(5.0.into()),
                Err("float division by zero".to_owned()),
                Err("list index out of range".to_owned()),
                Err("list index out of range".to_owned()),
                Err("the formula never comes to an end".to_owned()),
                Err("the formula never comes to an end".to_owned()),
                Err("invalid formula".to_owned()),
                Err("can't multiply sequence by non-int of type 'float'".to_owned()),
                Err("list index out of range".to_owned()),
                Err("invalid formula".to_owned()),
            ]
        );
    }
}
