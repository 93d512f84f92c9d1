//! Events on weekdays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ApiError, World,
    arguments::{Arguments, listed},
};

/// A weekday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Day {
    /// Every weekday, from Monday.
    pub const ALL: [Self; 7] =
        [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];

    /// Returns the name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        }
    }

    /// Returns the day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The events, by title.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Calendar {
    pub events: BTreeMap<String, Event>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    pub day: Day,
    pub hour: i64,
    pub minutes: i64,
    pub guests: BTreeSet<String>,
}

impl Calendar {
    fn event(&mut self, title: &str) -> Result<&mut Event, ApiError> {
        let known = listed(self.events.keys());
        let missing = ApiError::NotFound { what: "event", name: title.to_owned(), known };
        self.events.get_mut(title).ok_or(missing)
    }
}

fn day(world: &World, arguments: &Arguments) -> Result<Day, ApiError> {
    let name = arguments.name("day")?;
    match name.as_str() {
        "today" => Ok(world.today),
        "tomorrow" => Ok(world.today.next()),
        _ => Day::ALL
            .into_iter()
            .find(|day| day.as_str() == name)
            .ok_or_else(|| arguments.invalid("day", "a weekday, `today` or `tomorrow`")),
    }
}

fn hour(arguments: &Arguments) -> Result<Option<i64>, ApiError> {
    match arguments.whole("hour") {
        Some(hour) if !(0..24).contains(&hour) => Err(arguments.invalid("hour", "0 to 23")),
        hour => Ok(hour),
    }
}

fn shown(title: &str, event: &Event) -> Value {
    json!({ "title": title, "day": event.day, "hour": event.hour, "minutes": event.minutes, "guests": event.guests })
}

pub(super) fn add_event(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let title = arguments.name("title")?;
    let day = day(world, arguments)?;
    let hour = hour(arguments)?.unwrap_or(0);
    let minutes = arguments.whole("minutes").unwrap_or(60);
    if !(1..=24 * 60).contains(&minutes) {
        return Err(arguments.invalid("minutes", "1 to 1440"));
    }
    if world.calendar.events.contains_key(&title) {
        return Err(ApiError::AlreadyExists { what: "event", name: title });
    }
    let event = Event { day, hour, minutes, guests: BTreeSet::new() };
    let result = shown(&title, &event);
    world.calendar.events.insert(title, event);
    Ok(result)
}

pub(super) fn cancel_event(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let title = arguments.name("title")?;
    let event = world.calendar.event(&title)?.clone();
    world.calendar.events.remove(&title);
    Ok(json!({ "cancelled": shown(&title, &event) }))
}

pub(super) fn move_event(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let title = arguments.name("title")?;
    let day = day(world, arguments)?;
    let hour = hour(arguments)?;
    let event = world.calendar.event(&title)?;
    event.day = day;
    event.hour = hour.unwrap_or(event.hour);
    Ok(shown(&title, event))
}

pub(super) fn list_events(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let day = day(world, arguments)?;
    let events = world.calendar.events.iter().filter(|(_, event)| event.day == day);
    let events: Vec<Value> = events.map(|(title, event)| json!({ "title": title, "hour": event.hour })).collect();
    Ok(json!({ "day": day, "events": events }))
}

pub(super) fn invite_guest(world: &mut World, arguments: &Arguments) -> Result<Value, ApiError> {
    let title = arguments.name("title")?;
    let guest = arguments.name("guest")?;
    let event = world.calendar.event(&title)?;
    event.guests.insert(guest.clone());
    Ok(json!({ "title": title, "invited": guest }))
}
