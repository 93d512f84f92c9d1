//! The databases that the tools read and change.
//!
//! A world begins as API-Bank's `init_database` and is plain JSON values in memory, so a fresh copy is a clone. There is
//! no clock: today is what the tools say it is. What upstream draws at random comes from a stream of the world's own, or
//! was recorded in a dialogue and is handed out again when the dialogue is replayed.

use std::{collections::VecDeque, sync::LazyLock};

use rand::Rng;
use serde_json::{Map, Value, json};

use super::python::not_indexed;
use crate::{base::Seed, tools::equality::python_equal};

/// A table: records by key, in the order in which they came.
pub(super) type Records = Map<String, Value>;

/// The day that it is in API-Bank.
pub(super) const TODAY: &str = "2023-03-31";

/// Everything that calls can see and change.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    pub(super) accounts: Records,
    pub(super) agenda: Records,
    pub(super) alarms: Records,
    pub(super) appointments: Records,
    pub(super) bank_accounts: Records,
    pub(super) health: Records,
    pub(super) hotel: Records,
    pub(super) meetings: Records,
    pub(super) reminders: Records,
    pub(super) scenes: Records,
    pub(super) switches: Records,
    /// The user who asked for a new password, and the code that was sent.
    pub(super) reset: Option<(String, u64)>,
    draws: Draws,
}

/// What only is read.
pub(super) struct Library {
    pub balances: Records,
    pub documents: Records,
    pub history: Records,
    pub recordings: Records,
    pub stocks: Records,
    pub symptoms: Records,
}

/// Where random values come from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Draws {
    seed: Seed,
    count: u64,
    recorded: VecDeque<String>,
}

fn table(text: &str) -> Records {
    serde_json::from_str(text).expect("the databases that are compiled in are JSON objects")
}

static INITIAL: LazyLock<World> = LazyLock::new(|| World {
    accounts: table(include_str!("data/account.json")),
    agenda: table(include_str!("data/agenda.json")),
    alarms: table(include_str!("data/alarm.json")),
    appointments: table(include_str!("data/appointments.json")),
    bank_accounts: Map::from_iter([("#0".to_owned(), json!({"account": "test", "password": "test", "name": "yifei"}))]),
    health: table(include_str!("data/health_data.json")),
    hotel: table(include_str!("data/hotel.json")),
    meetings: table(include_str!("data/meeting.json")),
    reminders: table(include_str!("data/reminder.json")),
    scenes: table(include_str!("data/scenes.json")),
    switches: table(include_str!("data/time_switch.json")),
    reset: None,
    draws: Draws { seed: Seed(0), count: 0, recorded: VecDeque::new() },
});

/// What only is read, the same for every world.
pub(super) static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library {
    balances: table(include_str!("data/bank.json")),
    documents: table(include_str!("data/question_answering.json")),
    history: table(include_str!("data/history.json")),
    recordings: table(include_str!("data/speech_recognition.json")),
    stocks: table(include_str!("data/stock.json")),
    symptoms: table(include_str!("data/symptom.json")),
});

impl World {
    /// Returns a fresh world, whose random values are those of `seed`.
    pub fn new(seed: Seed) -> Self {
        let mut world = INITIAL.clone();
        world.draws.seed = seed;
        world
    }

    /// Returns whether the databases of two worlds hold the same, whatever random values are still to come.
    pub(super) fn same_databases(&self, other: &Self) -> bool {
        let draws = Draws { seed: Seed(0), count: 0, recorded: VecDeque::new() };
        let (mut left, mut right) = (self.clone(), other.clone());
        (left.draws, right.draws) = (draws.clone(), draws);
        left == right
    }

    /// Returns the user whose token this is.
    pub(super) fn user_of(&self, token: &Value) -> Result<&str, String> {
        let owns = |account: &Value| account.get("token").is_some_and(|own| python_equal(own, token));
        let found = self.accounts.iter().find(|(_, account)| owns(account));
        found.map(|(user, _)| user.as_str()).ok_or_else(|| "The token is invalid.".to_owned())
    }

    /// Puts a value where the next random one will be taken from.
    pub(super) fn hand_out(&mut self, recorded: &str) {
        self.draws.recorded.push_back(recorded.to_owned());
    }

    /// Forgets the values that were to be handed out and were not.
    pub(super) fn forget_recorded(&mut self) {
        self.draws.recorded.clear();
    }

    /// Returns a random text of `length` letters of `alphabet`.
    pub(super) fn draw(&mut self, alphabet: &[u8], length: usize) -> String {
        if let Some(recorded) = self.draws.recorded.pop_front() {
            return recorded;
        }
        let mut stream = self.draws.seed.stream("api-bank", self.draws.count);
        self.draws.count += 1;
        (0..length).map(|_| char::from(alphabet[stream.random_range(0..alphabet.len())])).collect()
    }
}

/// Returns the first key under which a record of `user` passes a test.
pub(super) fn find(records: &Records, user: &str, mut test: impl FnMut(&Value) -> bool) -> Option<String> {
    let mine = |record: &Value| record.get("username").is_some_and(|name| name == user);
    records.iter().find(|(_, record)| mine(record) && test(record)).map(|(key, _)| key.clone())
}

/// Returns whether a field of a record equals a value.
pub(super) fn field_is(record: &Value, field: &str, value: &Value) -> bool {
    record.get(field).is_some_and(|own| python_equal(own, value))
}

/// Returns a key one above the highest. Upstream these keys are texts.
pub(super) fn key_above(records: &Records) -> String {
    let highest = records.keys().filter_map(|key| key.parse::<u64>().ok()).max();
    highest.map_or(0, |highest| highest + 1).to_string()
}

/// Returns the key that the number of records makes. Upstream it is a number among texts, so it never equals one of
/// these, but it may equal an earlier number after a deletion, whose record is then replaced; `#` keeps the two apart.
pub(super) fn key_by_count(records: &Records) -> String {
    format!("#{}", records.len() + 1)
}

/// Returns a field of a record, as `record[field]`.
pub(super) fn field(record: &Value, field: &str) -> Result<Value, String> {
    let Value::Object(entries) = record else { return Err(not_indexed(record)) };
    entries.get(field).cloned().ok_or_else(|| format!("'{field}'"))
}
