//! Accounts: users with passwords, tokens and addresses.

use serde_json::{Value, json};

use super::super::{
    input::{Input, Kind, Need, Tool, parameter, text},
    rules::{Answer, Raised, exact, part, same},
    world::World,
};
use crate::tools::equality::python_equal;

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "GetUserToken",
        parameters: &[text("username"), text("password")],
        named: true,
        run: Some(get_user_token),
        rule: exact,
    },
    Tool { name: "CheckToken", parameters: &[text("token")], named: false, run: Some(check_token), rule: exact },
    Tool {
        name: "RegisterUser",
        parameters: &[text("username"), text("password"), text("email")],
        named: false,
        run: Some(register_user),
        rule: registered,
    },
    Tool { name: "DeleteAccount", parameters: &[text("token")], named: false, run: Some(delete_account), rule: exact },
    Tool {
        name: "ForgotPassword",
        parameters: &[
            text("status"),
            parameter("username", Kind::Text, Need::Extra),
            parameter("email", Kind::Text, Need::Extra),
            parameter("verification_code", Kind::Whole, Need::Extra),
            parameter("new_password", Kind::Text, Need::Extra),
        ],
        named: false,
        run: Some(forgot_password),
        rule: exact,
    },
    Tool {
        name: "ModifyPassword",
        parameters: &[text("token"), text("old_password"), text("new_password")],
        named: true,
        run: Some(modify_password),
        rule: exact,
    },
];

/// The code that every mail about a forgotten password holds.
const CODE: u64 = 970_420;
/// The length of a new token.
const TOKEN_LETTERS: usize = 18;

fn get_user_token(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let account = world.accounts.get(input.text("username")?).ok_or("The username does not exist.")?;
    if !python_equal(&account["password"], input.value("password")) {
        return Err("The password is incorrect.".to_owned());
    }
    Ok(json!({ "token": account["token"] }))
}

fn check_token(world: &mut World, input: &mut Input) -> Result<Value, String> {
    Ok(json!({ "username": world.user_of(input.value("token"))? }))
}

fn register_user(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let user = input.text("username")?;
    if world.accounts.contains_key(user) {
        return Err("The username already exists.".to_owned());
    }
    // Upstream draws letters of both cases and digits, then lowers them: a letter is twice as likely as a digit.
    let token = world.draw(b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789", TOKEN_LETTERS);
    let account = json!({ "password": input.value("password"), "token": token, "email": input.value("email") });
    world.accounts.insert(user.to_owned(), account);
    Ok(json!({ "token": token }))
}

/// The token is random, so an output only has to be there where the recorded one is.
fn registered(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    if part(gold, "output")?.is_null() && !part(ours, "output")?.is_null() {
        return Ok(false);
    }
    Ok(same("input", ours, gold)? && same("exception", ours, gold)?)
}

fn delete_account(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let user = world.user_of(input.value("token"))?.to_owned();
    world.accounts.shift_remove(&user);
    Ok(json!({ "status": "success" }))
}

fn forgot_password(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let has = |name: &str| input.0.contains_key(name);
    match input.value("status").as_str() {
        Some("Forgot Password") => {
            if !has("username") || !has("email") {
                return Err("The username and email are required for the first call.".to_owned());
            }
            let user = input.text("username")?;
            let account = world.accounts.get(user).ok_or("The username does not exist.")?;
            if !python_equal(&account["email"], input.value("email")) {
                return Err("The email is incorrect.".to_owned());
            }
            world.reset = Some((user.to_owned(), CODE));
            Ok(CODE.into())
        }
        Some("Verification Code") => {
            let Some((user, code)) = &world.reset else {
                return Err("You need to call the API with status 'Forgot Password' at first.".to_owned());
            };
            if !has("new_password") || !has("verification_code") {
                return Err("The new password and verification code are required for the second call.".to_owned());
            }
            if !python_equal(input.value("verification_code"), &Value::from(*code)) {
                return Err("The verification code is incorrect.".to_owned());
            }
            let account = world.accounts.get_mut(user).ok_or_else(|| format!("'{user}'"))?;
            account["password"] = input.value("new_password").clone();
            Ok("success".into())
        }
        _ => Err("The status is only 'Forgot Password' or 'Verification Code'.".to_owned()),
    }
}

fn modify_password(world: &mut World, input: &mut Input) -> Result<Value, String> {
    let user = world.user_of(input.value("token"))?.to_owned();
    let account = world.accounts.get_mut(&user).ok_or_else(|| format!("'{user}'"))?;
    if !python_equal(&account["password"], input.value("old_password")) {
        return Err("The old password is incorrect.".to_owned());
    }
    account["password"] = input.value("new_password").clone();
    Ok(json!({ "status": "success" }))
}
