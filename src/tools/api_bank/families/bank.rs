//! Bank accounts, stocks, hotel rooms.

use serde_json::{Value, json};

use super::super::{
    dates::{Format, Moment, lenient},
    input::{Input, Kind, Need, Tool, parameter, text},
    python::{no_attribute, strip},
    rules::{Answer, Fold, Raised, demand, exact, same_moment, same_outcome, same_text},
    world::{LIBRARY, World, field_is, key_by_count},
};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "OpenBankAccount",
        parameters: &[text("account"), text("password"), text("name")],
        named: true,
        run: Some(open_bank_account),
        rule: exact,
    },
    Tool {
        name: "QueryBalance",
        parameters: &[text("token")],
        named: true,
        run: Some(query_balance),
        rule: balance_queried,
    },
    Tool {
        name: "QueryStock",
        parameters: &[text("stock_code"), text("date")],
        named: true,
        run: Some(query_stock),
        rule: stock_queried,
    },
    Tool {
        name: "BookHotel",
        parameters: &[
            text("hotel_name"),
            text("check_in_time"),
            text("check_out_time"),
            parameter("room_count", Kind::Whole, Need::Required),
            parameter("adult_count", Kind::Whole, Need::Required),
            parameter("child_count", Kind::Whole, Need::Required),
        ],
        named: true,
        run: Some(book_hotel),
        rule: exact,
    },
];

/// An account that exists already is no exception but another output.
fn open_bank_account(world: &mut World, input: &mut Input) -> Result<Value, String> {
    if world.bank_accounts.values().any(|account| field_is(account, "account", input.value("account"))) {
        return Ok("failed".into());
    }
    let key = key_by_count(&world.bank_accounts);
    let account = json!({
        "account": input.value("account"),
        "password": input.value("password"),
        "name": input.value("name"),
    });
    world.bank_accounts.insert(key, account);
    Ok("success".into())
}

fn query_balance(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let user = input.text("token").and_then(|_| world.user_of(input.value("token")));
    let user = user.map_err(|_| "The token is incorrect.")?;
    let record = LIBRARY.balances.get(user).ok_or("The user does not have an account.")?;
    Ok(record["balance"].clone())
}

fn balance_queried(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(same_text("token", Fold::Blanks, ours, gold)? && same_outcome(ours, gold)?)
}

fn stock_code(text: &str) -> String {
    strip(&text.to_uppercase()).to_owned()
}

fn query_stock(_: &mut World, input: &mut Input) -> Result<Value, String> {
    let code = stock_code(input.text("stock_code")?);
    let date = lenient(input.text("date")?, Format::Date);
    if code.is_empty() {
        return Err("The stock code cannot be empty.".to_owned());
    }
    let date = date?.text(Format::Date);
    let prices = LIBRARY.stocks.get(&code).ok_or("The stock code does not exist.")?;
    Ok(prices.get(&date).cloned().ok_or("The stock price of this date is not maintained.")?)
}

fn stock_queried(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    demand(&["stock_code"], &["date"], ours, gold)?;
    Ok(same_text("stock_code", Fold::Upper, ours, gold)?
        && same_moment("date", Format::Date, ours, gold)?
        && same_outcome(ours, gold)?)
}

fn whole(input: &Input, name: &str) -> Result<i64, String> {
    let value = input.value(name);
    value.as_i64().ok_or_else(|| no_attribute(value, "__gt__"))
}

fn book_hotel(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let day = |text: &str| Moment::parse(text, Format::Date);
    let (arrival, departure) = (day(input.text("check_in_time")?)?, day(input.text("check_out_time")?)?);
    if whole(input, "adult_count")? > 2 && whole(input, "room_count")? == 1 {
        return Err("The number of adults is greater than 2. Two rooms are ordered.".to_owned());
    }
    for order in world.hotel.values() {
        let of = |name: &str| order.get(name).and_then(Value::as_str).unwrap_or_default();
        if !field_is(order, "hotel_name", input.value("hotel_name")) {
            continue;
        }
        let (start, end) = (day(of("check_in_time"))?, day(of("check_out_time"))?);
        if (arrival >= start && arrival < end) || (departure > start && departure <= end) {
            return Err("The room is not available.".to_owned());
        }
    }
    let id = (world.hotel.len() + 1).to_string();
    world.hotel.insert(id.clone(), input.0.clone().into());
    Ok(id.into())
}
