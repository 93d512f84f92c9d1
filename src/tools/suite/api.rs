//! The table of APIs: names, parameters, documentation.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ApiError, World, arguments::Arguments, bank, calendar, files, units};
use crate::tools::ToolSpec;

/// A part of the household.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Domain {
    /// Events and guests.
    Calendar,
    /// Files in folders.
    Files,
    /// Accounts, bills and cards.
    Bank,
    /// Units and sums.
    Units,
}

impl Domain {
    /// Every domain.
    pub const ALL: [Self; 4] = [Self::Calendar, Self::Files, Self::Bank, Self::Units];

    /// Returns the name that samples carry as their category.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calendar => "calendar",
            Self::Files => "files",
            Self::Bank => "bank",
            Self::Units => "units",
        }
    }
}

/// How hard questions are, and how much is documented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Short questions, one-word values, no optional parameters, one call: a tiny model can learn it.
    #[default]
    Easy,
    /// Everything.
    Full,
}

impl Level {
    /// Returns the name that ids carry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Full => "full",
        }
    }
}

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Number,
    Numbers,
}

/// One parameter of an API.
pub(super) struct Parameter {
    pub name: &'static str,
    pub kind: Kind,
    /// `None`: required. Otherwise the value, as JSON text, that leaving it out means.
    pub default: Option<&'static str>,
    pub doc: &'static str,
}

/// One API.
pub(super) struct Api {
    pub name: &'static str,
    pub domain: Domain,
    /// Documentation in a few words.
    pub brief: &'static str,
    /// The whole documentation.
    pub doc: &'static str,
    pub parameters: &'static [Parameter],
    pub run: fn(&mut World, &Arguments) -> Result<Value, ApiError>,
}

const fn text(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Text, default: None, doc }
}

const fn whole(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Whole, default: None, doc }
}

const fn number(name: &'static str, doc: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Number, default: None, doc }
}

impl Parameter {
    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
}

const DAY: &str = "A weekday such as `friday`, or `today` or `tomorrow`.";
const TITLE: &str = "Title of the event.";
const FILE: &str = "Name of the file.";
const FOLDER: &str = "Name of the folder.";
const LENGTH_UNIT: &str = "One of `km`, `m`, `cm`, `miles`, `feet`, `inches`.";

/// Every API of the household.
pub(super) static ALL: &[Api] = &[
    Api {
        name: "add_event",
        domain: Domain::Calendar,
        brief: "adds an event",
        doc: "Adds an event to the calendar. Fails if there is an event with this title already.",
        parameters: &[
            text("title", TITLE),
            text("day", DAY),
            whole("hour", "Hour at which it begins, 0 to 23."),
            whole("minutes", "How long it takes, in minutes.").or("60"),
        ],
        run: calendar::add_event,
    },
    Api {
        name: "cancel_event",
        domain: Domain::Calendar,
        brief: "removes an event",
        doc: "Removes an event from the calendar.",
        parameters: &[text("title", TITLE)],
        run: calendar::cancel_event,
    },
    Api {
        name: "move_event",
        domain: Domain::Calendar,
        brief: "moves an event to a day",
        doc: "Moves an event to another day, and to another hour if one is given.",
        parameters: &[
            text("title", TITLE),
            text("day", DAY),
            whole("hour", "New hour, 0 to 23; left out: the hour stays.").or("null"),
        ],
        run: calendar::move_event,
    },
    Api {
        name: "list_events",
        domain: Domain::Calendar,
        brief: "lists the events of a day",
        doc: "Lists the events of one day with their hours, in the order of titles.",
        parameters: &[text("day", DAY)],
        run: calendar::list_events,
    },
    Api {
        name: "invite_guest",
        domain: Domain::Calendar,
        brief: "invites a person to an event",
        doc: "Invites a person to an event of the calendar.",
        parameters: &[text("title", TITLE), text("guest", "First name of the person.")],
        run: calendar::invite_guest,
    },
    Api {
        name: "create_file",
        domain: Domain::Files,
        brief: "makes a file in a folder",
        doc: "Makes a new file in a folder. File names are unique over all folders.",
        parameters: &[text("name", FILE), text("folder", FOLDER), text("text", "What stands in the file.").or("\"\"")],
        run: files::create_file,
    },
    Api {
        name: "delete_file",
        domain: Domain::Files,
        brief: "deletes a file",
        doc: "Deletes a file from whatever folder it is in.",
        parameters: &[text("name", FILE)],
        run: files::delete_file,
    },
    Api {
        name: "rename_file",
        domain: Domain::Files,
        brief: "renames a file",
        doc: "Gives a file a new name; it stays in its folder.",
        parameters: &[text("name", FILE), text("new_name", "The new name.")],
        run: files::rename_file,
    },
    Api {
        name: "move_file",
        domain: Domain::Files,
        brief: "moves a file to a folder",
        doc: "Moves a file to another folder.",
        parameters: &[text("name", FILE), text("folder", FOLDER)],
        run: files::move_file,
    },
    Api {
        name: "list_files",
        domain: Domain::Files,
        brief: "lists the files of a folder",
        doc: "Lists the names of the files in a folder.",
        parameters: &[text("folder", FOLDER)],
        run: files::list_files,
    },
    Api {
        name: "get_balance",
        domain: Domain::Bank,
        brief: "tells the money in an account",
        doc: "Tells how much money an account holds.",
        parameters: &[text("account", "Name of the account.")],
        run: bank::get_balance,
    },
    Api {
        name: "transfer_money",
        domain: Domain::Bank,
        brief: "moves money between accounts",
        doc: "Moves money from one account to another. Fails if there is not enough.",
        parameters: &[
            text("source", "Account that the money leaves."),
            text("target", "Account that gets the money."),
            number("amount", "How much, in dollars."),
        ],
        run: bank::transfer_money,
    },
    Api {
        name: "pay_bill",
        domain: Domain::Bank,
        brief: "pays a company",
        doc: "Pays a bill of a company from an account.",
        parameters: &[
            text("company", "Name of the company."),
            number("amount", "How much, in dollars."),
            text("account", "Account that the money leaves.").or("\"checking\""),
        ],
        run: bank::pay_bill,
    },
    Api {
        name: "set_limit",
        domain: Domain::Bank,
        brief: "sets the limit of a card",
        doc: "Sets how much can be spent with a card each month.",
        parameters: &[text("card", "Name of the card."), number("amount", "The new limit, in dollars.")],
        run: bank::set_limit,
    },
    Api {
        name: "freeze_card",
        domain: Domain::Bank,
        brief: "blocks a card",
        doc: "Blocks a card until further notice.",
        parameters: &[text("card", "Name of the card.")],
        run: bank::freeze_card,
    },
    Api {
        name: "convert_length",
        domain: Domain::Units,
        brief: "converts a length",
        doc: "Converts a length from one unit to another.",
        parameters: &[number("value", "The length."), text("source", LENGTH_UNIT), text("target", LENGTH_UNIT)],
        run: units::convert_length,
    },
    Api {
        name: "convert_temperature",
        domain: Domain::Units,
        brief: "converts degrees to a scale",
        doc: "Converts a temperature to the other scale: from Fahrenheit to `celsius`, or from Celsius to `fahrenheit`.",
        parameters: &[
            number("degrees", "The temperature in the scale that it is given in."),
            text("target", "The scale to convert to: `celsius` or `fahrenheit`."),
        ],
        run: units::convert_temperature,
    },
    Api {
        name: "rectangle_area",
        domain: Domain::Units,
        brief: "area of a rectangle",
        doc: "Computes the area of a rectangle.",
        parameters: &[number("width", "One side."), number("height", "The other side.")],
        run: units::rectangle_area,
    },
    Api {
        name: "percent_of",
        domain: Domain::Units,
        brief: "a percentage of a number",
        doc: "Computes a percentage of a number.",
        parameters: &[number("percent", "The percentage."), number("value", "The number it is taken of.")],
        run: units::percent_of,
    },
    Api {
        name: "average",
        domain: Domain::Units,
        brief: "mean of numbers",
        doc: "Computes the arithmetic mean of numbers.",
        parameters: &[Parameter { name: "numbers", kind: Kind::Numbers, default: None, doc: "The numbers." }],
        run: units::average,
    },
];

impl Api {
    /// Returns the documentation at a level: `Easy` leaves out optional parameters and all words about parameters.
    pub fn spec(&self, level: Level) -> ToolSpec {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for parameter in self.parameters {
            if parameter.default.is_none() {
                required.push(parameter.name);
            } else if level == Level::Easy {
                continue;
            }
            properties.insert(parameter.name.to_owned(), parameter.schema(level));
        }
        let description = match level {
            Level::Easy => self.brief,
            Level::Full => self.doc,
        };
        ToolSpec {
            name: self.name.to_owned(),
            description: description.to_owned(),
            parameters: json!({ "type": "object", "properties": properties, "required": required }),
        }
    }
}

impl Parameter {
    fn schema(&self, level: Level) -> Value {
        let mut schema = match self.kind {
            Kind::Text => json!({ "type": "string" }),
            Kind::Whole => json!({ "type": "integer" }),
            Kind::Number => json!({ "type": "number" }),
            Kind::Numbers => json!({ "type": "array", "items": { "type": "number" } }),
        };
        if level == Level::Full {
            schema["description"] = json!(self.doc);
            if let Some(default) = self.default_value() {
                schema["default"] = default;
            }
        }
        schema
    }

    /// Returns the value that leaving the parameter out means.
    pub fn default_value(&self) -> Option<Value> {
        self.default.map(|text| serde_json::from_str(text).expect("defaults are written as JSON"))
    }

    pub fn admits(&self, value: &Value) -> bool {
        match self.kind {
            Kind::Text => value.is_string(),
            Kind::Whole => value.is_i64(),
            Kind::Number => value.is_number(),
            Kind::Numbers => value.as_array().is_some_and(|items| items.iter().all(Value::is_number)),
        }
    }

    /// Returns the type in words.
    pub fn words(&self) -> &'static str {
        match self.kind {
            Kind::Text => "a text",
            Kind::Whole => "a whole number",
            Kind::Number => "a number",
            Kind::Numbers => "a list of numbers",
        }
    }
}
