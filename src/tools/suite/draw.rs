//! Drawing the state of a sample, and values that make sense in it.

use std::collections::BTreeSet;

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{
    Day, Level, World,
    bank::{Bank, Card},
    calendar::{Calendar, Event},
    files::{File, Files},
    pools, units,
};

/// Where the value of an argument comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// An event of the state.
    Title,
    NewTitle,
    Day,
    Hour,
    Minutes,
    Guest,
    /// A file of the state.
    File,
    NewFile,
    Folder,
    Text,
    Account,
    /// An account that was not drawn before in the same call.
    OtherAccount,
    Amount,
    Company,
    Card,
    /// A small number.
    Count,
    LengthUnit,
    OtherLengthUnit,
    Scale,
    Numbers,
}

/// A value: how the question says it, what the gold call says, and what else is right.
pub(super) struct Drawn {
    pub spoken: String,
    pub value: Value,
    pub others: Vec<Value>,
}

impl Drawn {
    fn plain(word: &str) -> Self {
        Self { spoken: word.to_owned(), value: json!(word), others: Vec::new() }
    }

    fn number(number: i64) -> Self {
        Self { spoken: number.to_string(), value: json!(number), others: Vec::new() }
    }
}

/// Draws for one sample.
pub(super) struct Draw<'a> {
    pub rng: &'a mut ChaCha8Rng,
    pub level: Level,
    pub world: &'a World,
    /// Texts that this sample's calls use already: no two arguments share one, so order never matters.
    pub used: BTreeSet<String>,
}

fn pick<'p>(rng: &mut ChaCha8Rng, pool: &[&'p str]) -> &'p str {
    pool.choose(rng).copied().unwrap_or_default()
}

impl Draw<'_> {
    /// Returns a word that was not drawn before for this sample; `None` when the pool has no other.
    fn fresh(&mut self, pool: &[&str], fits: impl Fn(&str) -> bool) -> Option<String> {
        let words: Vec<&str> = pool.iter().copied().filter(|word| fits(word) && !self.used.contains(*word)).collect();
        let word = words.choose(self.rng).copied()?.to_owned();
        self.used.insert(word.clone());
        Some(word)
    }

    /// Draws a value from a pool; `None` when this sample has used the pool up.
    pub fn value(&mut self, pool: Pool) -> Option<Drawn> {
        let full = self.level == Level::Full;
        let world = self.world;
        Some(match pool {
            Pool::Title => {
                let titles: Vec<&str> = world.calendar.events.keys().map(String::as_str).collect();
                Drawn::plain(&self.fresh(&titles, |_| true)?)
            }
            Pool::NewTitle => {
                Drawn::plain(&self.fresh(titles(self.level), |title| !world.calendar.events.contains_key(title))?)
            }
            Pool::Day => self.day(),
            Pool::Hour => self.hour(),
            Pool::Minutes => Drawn::number(*[15, 20, 30, 45, 90, 120].choose(self.rng)?),
            Pool::Guest => self.spoken_name(pools::GUESTS)?,
            Pool::File => {
                let files: Vec<&str> = world.files.files.keys().map(String::as_str).collect();
                Drawn::plain(&self.fresh(&files, |_| true)?)
            }
            Pool::NewFile => {
                Drawn::plain(&self.fresh(files(self.level), |file| !world.files.files.contains_key(file))?)
            }
            Pool::Folder => Drawn::plain(&self.fresh(pools::FOLDERS, |_| true)?),
            Pool::Text => Drawn::plain(&self.fresh(pools::TEXTS, |_| true)?),
            Pool::Account | Pool::OtherAccount => Drawn::plain(&self.fresh(pools::ACCOUNTS, |_| true)?),
            Pool::Amount => self.amount(),
            Pool::Company => self.spoken_name(pools::COMPANIES)?,
            Pool::Card => Drawn::plain(&self.fresh(pools::CARDS, |_| true)?),
            Pool::Count if full && self.rng.random_bool(0.3) => {
                // One decimal, so that text and number agree.
                let tenths = self.rng.random_range(11..999);
                let number = f64::from(tenths) / 10.0;
                Drawn { spoken: number.to_string(), value: json!(number), others: Vec::new() }
            }
            Pool::Count => Drawn::number(self.rng.random_range(2..if full { 500 } else { 100 })),
            Pool::LengthUnit | Pool::OtherLengthUnit => {
                let unit = self.fresh(pools::LENGTH_UNITS, |_| true)?;
                if !full {
                    return Some(Drawn::plain(&unit));
                }
                let names = units::names_of_length(&unit)?;
                let spoken =
                    names.iter().take(2).collect::<Vec<_>>().choose(self.rng).map(|name| (**name).to_owned())?;
                let others = names.iter().skip(1).map(|name| json!(name)).collect();
                Drawn { spoken, value: json!(unit), others }
            }
            Pool::Scale => self.spoken_name(&["celsius", "fahrenheit"])?,
            Pool::Numbers => {
                let count = if full { self.rng.random_range(2..=5) } else { 3 };
                let numbers: Vec<i64> = (0..count).map(|_| self.rng.random_range(1..100)).collect();
                let words: Vec<String> = numbers.iter().map(i64::to_string).collect();
                let spoken = words.split_last().map(|(last, rest)| format!("{} and {last}", rest.join(", ")))?;
                Drawn { spoken, value: json!(numbers), others: Vec::new() }
            }
        })
    }

    /// A name that people write with a capital and calls in any case.
    fn spoken_name(&mut self, pool: &[&str]) -> Option<Drawn> {
        let word = self.fresh(pool, |_| true)?;
        if self.level == Level::Easy {
            return Some(Drawn::plain(&word));
        }
        let spoken = capitalised(&word);
        Some(Drawn { value: json!(spoken), spoken, others: Vec::new() })
    }

    fn day(&mut self) -> Drawn {
        let day = *Day::ALL.choose(self.rng).unwrap_or(&Day::Monday);
        if self.level == Level::Easy {
            return Drawn::plain(day.as_str());
        }
        if self.rng.random_bool(0.2) {
            let (word, day) = if self.rng.random_bool(0.3) {
                ("today", self.world.today)
            } else {
                ("tomorrow", self.world.today.next())
            };
            return Drawn { spoken: word.to_owned(), value: json!(word), others: vec![json!(day)] };
        }
        Drawn { spoken: capitalised(day.as_str()), value: json!(day), others: Vec::new() }
    }

    fn hour(&mut self) -> Drawn {
        let hour = self.rng.random_range(7..=21);
        if self.level == Level::Easy {
            return Drawn::number(hour);
        }
        let spoken = match (hour, self.rng.random_range(0..3)) {
            (_, 0) => format!("{hour}:00"),
            (..12, _) => format!("{hour} am"),
            (12, _) => "noon".to_owned(),
            _ => format!("{} pm", hour - 12),
        };
        Drawn { spoken, value: json!(hour), others: Vec::new() }
    }

    fn amount(&mut self) -> Drawn {
        if self.level == Level::Easy {
            return Drawn::number(5 * self.rng.random_range(1..20));
        }
        let whole: i64 = self.rng.random_range(3..900);
        match self.rng.random_range(0..3) {
            0 => Drawn { spoken: format!("{whole} dollars"), ..Drawn::number(whole) },
            1 => Drawn { spoken: format!("${whole}"), ..Drawn::number(whole) },
            _ => {
                let quarters: i64 = self.rng.random_range(1..4) * 25;
                let text = format!("{whole}.{quarters:02}");
                let number: f64 = text.parse().unwrap_or_default();
                Drawn { spoken: format!("${text}"), value: json!(number), others: Vec::new() }
            }
        }
    }
}

pub(super) fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn titles(level: Level) -> &'static [&'static str] {
    if level == Level::Easy { pools::TITLES } else { pools::LONG_TITLES }
}

fn files(level: Level) -> &'static [&'static str] {
    if level == Level::Easy { pools::FILES } else { pools::LONG_FILES }
}

/// Draws a household: four events, four files, every folder, account and card.
pub(super) fn world(rng: &mut ChaCha8Rng, level: Level) -> World {
    const THINGS: usize = 4;
    let today = *Day::ALL.choose(rng).unwrap_or(&Day::Monday);
    let mut calendar = Calendar::default();
    for title in titles(level).choose_multiple(rng, THINGS).copied().collect::<Vec<_>>() {
        let guests = (0..rng.random_range(0..2)).map(|_| pick(rng, pools::GUESTS).to_owned()).collect();
        let day = *Day::ALL.choose(rng).unwrap_or(&Day::Monday);
        let event = Event { day, hour: rng.random_range(7..=21), minutes: 60, guests };
        calendar.events.insert(title.to_owned(), event);
    }
    let mut drawn = Files { folders: pools::FOLDERS.iter().map(|&name| name.to_owned()).collect(), ..Files::default() };
    for name in files(level).choose_multiple(rng, THINGS).copied().collect::<Vec<_>>() {
        let file = File { folder: pick(rng, pools::FOLDERS).to_owned(), text: pick(rng, pools::TEXTS).to_owned() };
        drawn.files.insert(name.to_owned(), file);
    }
    // Enough money for every two calls.
    let accounts = pools::ACCOUNTS.iter().map(|&name| (name.to_owned(), 100 * rng.random_range(2_000..9_000)));
    let accounts = accounts.collect();
    let cards = pools::CARDS
        .iter()
        .map(|&name| (name.to_owned(), Card { limit: 10_000 * rng.random_range(1..50), frozen: false }));
    let bank = Bank { accounts, cards: cards.collect(), paid: Default::default() };
    World { today, calendar, files: drawn, bank }
}
