//! Agendas and alarms: what a user does when.

use serde_json::{Value, json};

use super::super::{
    dates::{Format, Moment},
    input::{Input, Parameter, Tool, text},
    python::{strip, text_of},
    rules::{Answer, Raised, assert_same_name, deletion, exact, same_input, same_outcome, similar_input},
    world::{World, field_is, find, key_by_count},
};

const ENTRY: &[Parameter] = &[text("token"), text("content"), text("time"), text("location")];
const ALARM: &[Parameter] = &[text("token"), text("time")];

pub(super) const TOOLS: &[Tool] = &[
    Tool { name: "AddAgenda", parameters: ENTRY, named: true, run: Some(add_agenda), rule: added },
    Tool { name: "DeleteAgenda", parameters: ENTRY, named: true, run: Some(delete_agenda), rule: deletion },
    Tool { name: "ModifyAgenda", parameters: ENTRY, named: true, run: Some(modify_agenda), rule: alike },
    Tool { name: "QueryAgenda", parameters: ENTRY, named: true, run: Some(query_agenda), rule: alike },
    Tool { name: "AddAlarm", parameters: ALARM, named: true, run: Some(add_alarm), rule: exact },
    Tool { name: "DeleteAlarm", parameters: ALARM, named: true, run: Some(delete_alarm), rule: exact },
    Tool {
        name: "ModifyAlarm",
        parameters: &[text("token"), text("from_time"), text("to_time")],
        named: true,
        run: Some(modify_alarm),
        rule: exact,
    },
    Tool { name: "QueryAlarm", parameters: ALARM, named: true, run: Some(query_alarm), rule: exact },
];

fn alike(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(similar_input("content", false, ours, gold)?
        && same_input("time", ours, gold)?
        && same_input("location", ours, gold)?
        && same_outcome(ours, gold)?)
}

fn added(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    assert_same_name(ours, gold)?;
    alike(ours, gold)
}

/// Checks a time that has to be there.
fn check_time(input: &Input, name: &str) -> Result<(), String> {
    Moment::parse(input.text(name)?, Format::Time).map(drop)
}

/// Checks a time that may be empty.
fn check_time_if_given(input: &Input, name: &str) -> Result<(), String> {
    if input.given(name) { check_time(input, name) } else { Ok(()) }
}

fn entry(user: &str, input: &Input) -> Value {
    json!({
        "username": user,
        "content": input.value("content"),
        "time": input.value("time"),
        "location": input.value("location"),
    })
}

/// Returns the key of the user's first entry with this content or this time.
fn entry_key(world: &World, user: &str, input: &Input) -> Option<String> {
    find(&world.agenda, user, |record| {
        field_is(record, "content", input.value("content")) || field_is(record, "time", input.value("time"))
    })
}

/// Says that there is no such entry; `None` where neither content nor time were given.
fn no_entry(input: &Input, what: &str) -> Option<String> {
    if input.given("content") {
        return Some(format!("You have no {what} about {}", text_of(input.value("content"))));
    }
    input.given("time").then(|| format!("You have no {what} at time : {}", text_of(input.value("time"))))
}

fn add_agenda(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_time(input, "time")?;
    if strip(input.text("content")?).is_empty() {
        return Err("Content should not be null".to_owned());
    }
    let key = key_by_count(&world.agenda);
    let entry = entry(world.user_of(input.value("token"))?, input);
    world.agenda.insert(key, entry);
    Ok("success".into())
}

fn delete_agenda(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_time_if_given(input, "time")?;
    let user = world.user_of(input.value("token"))?;
    match (entry_key(world, user, input), no_entry(input, "meeting")) {
        (Some(key), _) => drop(world.agenda.shift_remove(&key)),
        (None, Some(missing)) => return Err(missing),
        (None, None) => {}
    }
    Ok("success".into())
}

fn modify_agenda(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_time_if_given(input, "time")?;
    let user = world.user_of(input.value("token"))?.to_owned();
    match entry_key(world, &user, input) {
        Some(key) => {
            world.agenda.insert(key, entry(&user, input));
            Ok("success".into())
        }
        // Without content and time, upstream returns an exception object as the output. It equals nothing.
        None => no_entry(input, "agenda").map_or(Ok("Error".into()), Err),
    }
}

fn query_agenda(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_time_if_given(input, "time")?;
    let user = world.user_of(input.value("token"))?;
    match entry_key(world, user, input) {
        Some(key) => Ok(world.agenda[&key].clone()),
        None => Err(no_entry(input, "agenda").unwrap_or_else(|| "Error".to_owned())),
    }
}

fn alarm(user: &str, time: &Value) -> Value {
    json!({ "username": user, "time": time })
}

fn alarm_key(world: &World, user: &str, time: &Value) -> Option<String> {
    find(&world.alarms, user, |record| field_is(record, "time", time))
}

fn no_alarm(time: &Value) -> String {
    format!("You have no alarm clock at time : {}", text_of(time))
}

fn add_alarm(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_time(input, "time")?;
    let key = key_by_count(&world.alarms);
    let alarm = alarm(world.user_of(input.value("token"))?, input.value("time"));
    world.alarms.insert(key, alarm);
    Ok("success".into())
}

fn delete_alarm(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_time(input, "time")?;
    let user = world.user_of(input.value("token"))?;
    let key = alarm_key(world, user, input.value("time")).ok_or_else(|| no_alarm(input.value("time")))?;
    world.alarms.shift_remove(&key);
    Ok("success".into())
}

fn modify_alarm(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_time(input, "from_time")?;
    check_time(input, "to_time")?;
    let user = world.user_of(input.value("token"))?.to_owned();
    let from = input.value("from_time");
    let key = alarm_key(world, &user, from).ok_or_else(|| format!("You have no agenda at time : {}", text_of(from)))?;
    world.alarms.insert(key, alarm(&user, input.value("to_time")));
    Ok("success".into())
}

fn query_alarm(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_time(input, "time")?;
    let user = world.user_of(input.value("token"))?;
    let key = alarm_key(world, user, input.value("time")).ok_or_else(|| no_alarm(input.value("time")))?;
    Ok(world.alarms[&key].clone())
}
