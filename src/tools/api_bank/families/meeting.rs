//! Meetings and reminders.

use serde_json::{Value, json};

use super::super::{
    dates::{Format, Moment},
    input::{Input, Kind, Need, Parameter, Tool, parameter, text},
    python::{strip, text_of},
    rules::{Answer, Raised, assert_same_name, deletion, drop_input, exact, same_input, same_outcome, similar_input},
    world::{World, field_is, find, key_above},
};

const MEETING: &[Parameter] = &[
    text("token"),
    text("meeting_topic"),
    text("start_time"),
    text("end_time"),
    text("location"),
    parameter("attendees", Kind::List, Need::Required),
];
const REMINDER: &[Parameter] = &[text("token"), text("content"), text("time")];

pub(super) const TOOLS: &[Tool] = &[
    Tool { name: "AddMeeting", parameters: MEETING, named: true, run: Some(add_meeting), rule: meeting_alike },
    Tool { name: "DeleteMeeting", parameters: MEETING, named: true, run: Some(delete_meeting), rule: deletion },
    Tool { name: "ModifyMeeting", parameters: MEETING, named: true, run: Some(modify_meeting), rule: meeting_alike },
    Tool { name: "QueryMeeting", parameters: MEETING, named: true, run: Some(query_meeting), rule: meeting_alike },
    Tool { name: "AddReminder", parameters: REMINDER, named: true, run: Some(add_reminder), rule: reminder_asserted },
    Tool { name: "DeleteReminder", parameters: REMINDER, named: true, run: Some(delete_reminder), rule: deletion },
    Tool {
        name: "ModifyReminder",
        parameters: REMINDER,
        named: true,
        run: Some(modify_reminder),
        rule: reminder_asserted,
    },
    Tool { name: "QueryReminder", parameters: REMINDER, named: true, run: Some(query_reminder), rule: reminder_alike },
];

/// The topic by its words, everything else as it is.
fn meeting_alike(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    let similar = similar_input("meeting_topic", false, ours, gold)?;
    drop_input(ours, "meeting_topic")?;
    drop_input(gold, "meeting_topic")?;
    Ok(similar && exact(ours, gold)?)
}

fn reminder_alike(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(similar_input("content", true, ours, gold)? && same_input("time", ours, gold)? && same_outcome(ours, gold)?)
}

fn reminder_asserted(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    assert_same_name(ours, gold)?;
    reminder_alike(ours, gold)
}

fn check_time(input: &Input, name: &str) -> Result<(), String> {
    Moment::parse(input.text(name)?, Format::Time).map(drop)
}

/// Checks what names a meeting: times may be empty, but not the topic and the start both.
fn check_meeting(input: &Input) -> Result<(), String> {
    for name in ["start_time", "end_time"] {
        if input.given(name) {
            check_time(input, name)?;
        }
    }
    if strip(input.text("meeting_topic")?).is_empty() && !input.given("start_time") {
        return Err("Meeting Topic and start_time should not be null both".to_owned());
    }
    Ok(())
}

fn meeting_key(world: &World, input: &Input) -> Result<Option<String>, String> {
    let user = world.user_of(input.value("token"))?;
    Ok(find(&world.meetings, user, |record| {
        field_is(record, "meeting_topic", input.value("meeting_topic"))
            || field_is(record, "start_time", input.value("start_time"))
    }))
}

/// Says that there is no such meeting. Either topic or start are given.
fn no_meeting(input: &Input) -> String {
    let of = |name: &str| text_of(input.value(name));
    if input.given("meeting_topic") {
        format!("You have no meeting about {}", of("meeting_topic"))
    } else {
        format!("You have no meeting at time : {}", of("start_time"))
    }
}

fn add_meeting(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_time(input, "start_time")?;
    check_time(input, "end_time")?;
    if strip(input.text("meeting_topic")?).is_empty() {
        return Err("Meeting Topic should not be null".to_owned());
    }
    let key = key_above(&world.meetings);
    let mut meeting = json!({ "username": world.user_of(input.value("token"))? });
    for name in ["meeting_topic", "start_time", "end_time", "location", "attendees"] {
        meeting[name] = input.value(name).clone();
    }
    world.meetings.insert(key, meeting);
    Ok("success".into())
}

fn delete_meeting(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_meeting(input)?;
    let key = meeting_key(world, input)?.ok_or_else(|| no_meeting(input))?;
    world.meetings.shift_remove(&key);
    Ok("success".into())
}

fn modify_meeting(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_meeting(input)?;
    let key = meeting_key(world, input)?.ok_or_else(|| no_meeting(input))?;
    let meeting = &mut world.meetings[&key];
    if input.given("meeting_topic") {
        meeting["meeting_topic"] = input.value("meeting_topic").clone();
    }
    if input.given("start_time") {
        meeting["start_time"] = input.value("start_time").clone();
        meeting["end_time"] = input.value("end_time").clone();
    }
    Ok("success".into())
}

fn query_meeting(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_meeting(input)?;
    let key = meeting_key(world, input)?.ok_or_else(|| no_meeting(input))?;
    Ok(world.meetings[&key].clone())
}

fn check_reminder(input: &Input) -> Result<(), String> {
    check_time(input, "time")?;
    if strip(input.text("content")?).is_empty() {
        return Err("Content should not be null".to_owned());
    }
    Ok(())
}

/// Returns the key of the user's first reminder with this content or this time.
fn reminder_key(world: &World, input: &Input) -> Result<String, String> {
    let user = world.user_of(input.value("token"))?;
    let (content, time) = (input.value("content"), input.value("time"));
    find(&world.reminders, user, |record| field_is(record, "content", content) || field_is(record, "time", time))
        .ok_or_else(|| format!("You have no reminder about {} or at time : {}", text_of(content), text_of(time)))
}

fn add_reminder(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_reminder(input)?;
    let key = key_above(&world.reminders);
    let user = world.user_of(input.value("token"))?;
    let reminder = json!({ "username": user, "content": input.value("content"), "time": input.value("time") });
    world.reminders.insert(key, reminder);
    Ok("success".into())
}

fn delete_reminder(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_reminder(input)?;
    let key = reminder_key(world, input)?;
    world.reminders.shift_remove(&key);
    Ok("success".into())
}

fn modify_reminder(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_reminder(input)?;
    let key = reminder_key(world, input)?;
    let reminder = &mut world.reminders[&key];
    reminder["content"] = input.value("content").clone();
    reminder["time"] = input.value("time").clone();
    Ok("success".into())
}

fn query_reminder(world: &mut World, input: &mut Input) -> Result<Value, String> {
    check_reminder(input)?;
    let key = reminder_key(world, input)?;
    Ok(world.reminders[&key].clone())
}
