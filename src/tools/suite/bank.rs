//! Accounts, bills and cards. Money is counted in cents, so sums are exact and do not depend on order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ApiError, World,
    arguments::{Arguments, listed},
};

/// Accounts and payments in cents, and cards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bank {
    pub accounts: BTreeMap<String, i64>,
    pub cards: BTreeMap<String, Card>,
    /// What was paid to each company.
    pub paid: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Card {
    pub limit: i64,
    pub frozen: bool,
}

/// The largest amount of one call, in dollars.
const MAX_AMOUNT: f64 = 1e9;

fn cents(arguments: &Arguments) -> Result<i64, ApiError> {
    let amount = arguments.number("amount");
    let cents = (amount * 100.0).round();
    // Two decimals are exact to far below a thousandth of a cent at this size.
    if !(amount > 0.0 && amount <= MAX_AMOUNT) || (amount * 100.0 - cents).abs() > 1e-4 {
        return Err(arguments.invalid("amount", "a positive amount with at most two decimals"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e11")]
    Ok(cents as i64)
}

/// Returns cents as dollars, whole amounts without decimals.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53 cents")]
fn dollars(cents: i64) -> Value {
    if cents % 100 == 0 { json!(cents / 100) } else { json!(cents as f64 / 100.0) }
}

impl Bank {
    fn account(&mut self, name: &str) -> Result<&mut i64, ApiError> {
        let known = listed(self.accounts.keys());
        let missing = ApiError::NotFound { what: "account", name: name.to_owned(), known };
        self.accounts.get_mut(name).ok_or(missing)
    }

    fn card(&mut self, name: &str) -> Result<&mut Card, ApiError> {
        let missing = ApiError::NotFound { what: "card", name: name.to_owned(), known: listed(self.cards.keys()) };
        self.cards.get_mut(name).ok_or(missing)
    }

    /// Takes money from an account.
    fn withdraw(&mut self, name: &str, cents: i64) -> Result<i64, ApiError> {
        let balance = self.account(name)?;
        if *balance < cents {
            let reason = format!("the account `{name}` holds only {} dollars", dollars(*balance));
            return Err(ApiError::Refused { reason });
        }
        *balance -= cents;
        Ok(*balance)
    }
}

pub(super) fn get_balance(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let account = arguments.name("account")?;
    let balance = dollars(*world.bank.account(&account)?);
    Ok(json!({ "account": account, "balance": balance }))
}

pub(super) fn transfer_money(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let (source, target) = (arguments.name("source")?, arguments.name("target")?);
    let cents = cents(arguments)?;
    if source == target {
        return Err(arguments.invalid("target", "another account than `source`"));
    }
    world.bank.account(&target)?;
    world.bank.withdraw(&source, cents)?;
    *world.bank.account(&target)? += cents;
    Ok(json!({ "source": source, "target": target, "amount": dollars(cents) }))
}

pub(super) fn pay_bill(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let company = arguments.name("company")?;
    let account = if arguments.text("account").is_some() { arguments.name("account")? } else { "checking".to_owned() };
    let cents = cents(arguments)?;
    world.bank.withdraw(&account, cents)?;
    *world.bank.paid.entry(company.clone()).or_default() += cents;
    Ok(json!({ "company": company, "account": account, "amount": dollars(cents) }))
}

pub(super) fn set_limit(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let name = arguments.name("card")?;
    let cents = cents(arguments)?;
    world.bank.card(&name)?.limit = cents;
    Ok(json!({ "card": name, "limit": dollars(cents) }))
}

pub(super) fn freeze_card(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let name = arguments.name("card")?;
    let card = world.bank.card(&name)?;
    if card.frozen {
        return Err(ApiError::Refused { reason: format!("the card `{name}` is blocked already") });
    }
    card.frozen = true;
    Ok(json!({ "card": name, "frozen": true }))
}
