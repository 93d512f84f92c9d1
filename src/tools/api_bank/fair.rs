//! The fair verdict on one call: what the official one does by accident, repaired.
//!
//! The tools and their rules stay what they are. What changes, each with a name ([`Repair`]): the dialogue's earlier calls
//! run first; calls are read in any style and list values as lists; recorded calls with parameter names that the tools
//! no longer have count with their new names; meetings are compared by what is left after deletion; where the recorded
//! call does not give its recorded result any more, its result here counts; tools that cannot run are compared by
//! arguments.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    catalogue::TOOL_SEARCHER,
    input::{Kind, Tool},
    loose,
    python::text_of,
    reading,
    rules::{Answer, Raised},
    running, searcher,
    verdict::{Recorded, Verdict, official},
    world::World,
};
use crate::{
    base::Seed,
    tools::{
        Call,
        equality::{python_equal, python_equal_maps},
    },
};

/// Something in which the fair judgement of a call departs from the official one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// The call is written in another style, or has values that the official patterns cut short.
    CallStyle,
    /// A list was read as a list, not as a text.
    ListValue,
    /// A recorded call uses a parameter name that the tool no longer has.
    OldParameterName,
    /// Earlier calls of the dialogue changed the databases.
    StateReplayed,
    /// The official rule for deleted meetings looks for an argument that meetings do not have.
    DeletionRule,
    /// The recorded call does not give its recorded result: its result here counts.
    GoldResult,
    /// The tool cannot run here: arguments are compared.
    NotRun,
}

impl Repair {
    /// Returns the name that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallStyle => "call-style",
            Self::ListValue => "list-value",
            Self::OldParameterName => "old-parameter-name",
            Self::StateReplayed => "state-replayed",
            Self::DeletionRule => "deletion-rule",
            Self::GoldResult => "gold-result",
            Self::NotRun => "not-run",
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What is said about one call in fairness.
#[derive(Clone, Debug, PartialEq)]
pub struct FairVerdict {
    /// The call is right.
    pub correct: bool,
    /// What is wrong with it.
    pub reason: Option<String>,
    /// What was repaired on the way.
    pub repairs: Vec<Repair>,
    /// The call as it was read.
    pub call: Option<Call>,
    /// Its result, if the tool was run.
    pub result: Option<Map<String, Value>>,
    /// What is wrong with the recorded call itself.
    pub defect: Option<String>,
}

/// Returns the fair verdict on a model's text, which should make the call `gold` after the calls `earlier`.
pub fn fair(completion: &str, earlier: &[Recorded], gold: &Recorded) -> FairVerdict {
    let mut verdict =
        FairVerdict { correct: false, reason: None, repairs: Vec::new(), call: None, result: None, defect: None };
    match judged(completion, earlier, gold, &mut verdict) {
        Ok(correct) => {
            verdict.correct = correct;
            if !correct && verdict.reason.is_none() {
                verdict.reason = Some(mismatch(&verdict, gold));
            }
        }
        Err(reason) => verdict.reason = Some(reason),
    }
    verdict.repairs.sort_unstable();
    verdict.repairs.dedup();
    verdict
}

/// Both verdicts on a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The official one.
    pub official: Verdict,
    /// The fair one.
    pub fair: FairVerdict,
}

impl Comparison {
    /// Judges a text both ways.
    pub fn of(completion: &str, earlier: &[Recorded], gold: &Recorded) -> Self {
        Self { official: official(completion, gold), fair: fair(completion, earlier, gold) }
    }

    /// Returns what explains the difference, in one line; `None` where the verdicts agree.
    pub fn difference(&self) -> Option<String> {
        if self.official.correct == self.fair.correct {
            return None;
        }
        let repairs: Vec<&str> = self.fair.repairs.iter().map(|repair| repair.as_str()).collect();
        let why = self.official.error().or_else(|| self.fair.reason.clone()).unwrap_or_default();
        Some(format!("{} ({why})", repairs.join(", ")))
    }
}

fn mismatch(verdict: &FairVerdict, gold: &Recorded) -> String {
    let part = |name: &str| verdict.result.as_ref().and_then(|result| result.get(name));
    match part("exception").and_then(Value::as_str) {
        Some(exception) => format!("`{}` ends with: {exception}", gold.name),
        None => format!("`{}` does not do what the recorded call does", gold.name),
    }
}

/// Returns whether the text is right, or why it cannot be.
fn judged(completion: &str, earlier: &[Recorded], gold: &Recorded, verdict: &mut FairVerdict) -> Result<bool, String> {
    let calls = loose::calls(completion)?;
    let [call] = calls.as_slice() else {
        return Err(format!("one call is expected, found {}", calls.len()));
    };
    verdict.call = Some(call.clone());
    if reading::read_call(completion).is_none_or(|read| !same_texts(&read, call)) {
        verdict.repairs.push(Repair::CallStyle);
    }
    if call.name != gold.name {
        return Err(format!("`{}` is called, expected `{}`", call.name, gold.name));
    }
    let tool = running::tool(&call.name).map_err(|error| error.to_string())?;
    if call.name == TOOL_SEARCHER {
        verdict.repairs.push(Repair::NotRun);
        return found_tool(call, gold);
    }
    let names = OldNames::of(tool, &gold.arguments);
    if !names.0.is_empty() {
        verdict.repairs.push(Repair::OldParameterName);
    }
    let arguments = arguments(tool, &names, &call.arguments, verdict)?;
    let wanted = arguments_of(tool, &names, &gold.arguments);
    if tool.run.is_none() {
        verdict.repairs.push(Repair::NotRun);
        return wanted.map(|wanted| python_equal_maps(&arguments, &wanted));
    }
    let world = replayed(earlier);
    if !world.same_databases(&World::new(Seed(0))) {
        verdict.repairs.push(Repair::StateReplayed);
    }
    let mut gold_world = world.clone();
    hand_out(&mut gold_world, gold);
    let reference = wanted.and_then(|wanted| gold_world.run(tool, wanted).map_err(|error| error.to_string()));
    let reference = match reference {
        Ok(reference) => reference,
        Err(error) => {
            verdict.defect = Some(format!("the recorded call cannot run: {error}"));
            return Err(format!("the recorded call of `{}` cannot run: {error}", tool.name));
        }
    };
    let mut recorded = gold.result.clone();
    if let Some(Value::Object(input)) = recorded.get_mut("input") {
        names.rename(input);
    }
    let mut own_world = world;
    let own = own_world.run(tool, arguments).map_err(|error| error.to_string())?;
    verdict.result = Some(own.clone());
    let stands = ruled(tool, &gold_world, &gold_world, reference.clone(), recorded.clone(), &mut Vec::new());
    let target = if stands == Ok(true) {
        recorded
    } else {
        verdict.repairs.push(Repair::GoldResult);
        verdict.defect = Some(match reference.get("exception").and_then(Value::as_str) {
            Some(exception) => format!("the recorded call ends with: {exception}"),
            None => "the recorded call has another result here".to_owned(),
        });
        reference
    };
    ruled(tool, &own_world, &gold_world, own, target, &mut verdict.repairs).map_err(|raised| match raised {
        Raised::Key => format!("the rule of `{}` finds an argument missing", tool.name),
        Raised::Other(error) => error,
    })
}

/// Asks the tool's rule, but for meetings that both deleted: there what is left has to be the same.
fn ruled(
    tool: &Tool,
    own_world: &World,
    gold_world: &World,
    mut own: Answer,
    mut gold: Answer,
    repairs: &mut Vec<Repair>,
) -> Result<bool, Raised> {
    let succeeded = |answer: &Answer| answer.get("output").is_some_and(|output| output == "success");
    if tool.name == "DeleteMeeting" && succeeded(&own) && succeeded(&gold) {
        repairs.push(Repair::DeletionRule);
        return Ok(own_world.same_databases(gold_world));
    }
    (tool.rule)(&mut own, &mut gold)
}

/// Returns whether two readings of a call are the same but for types.
fn same_texts(left: &Call, right: &Call) -> bool {
    left.name == right.name
        && left.arguments.len() == right.arguments.len()
        && left.arguments.iter().all(|(name, value)| {
            right
                .arguments
                .get(name)
                .is_some_and(|other| python_equal(value, other) || text_of(value) == text_of(other))
        })
}

/// Returns whether keywords find the tool that the recorded ones found: the last of a list, whose first is the tool that
/// gives tokens.
fn found_tool(call: &Call, gold: &Recorded) -> Result<bool, String> {
    let keywords = call.arguments.get("keywords").and_then(Value::as_str);
    let keywords = keywords.filter(|_| call.arguments.len() == 1).ok_or("`keywords` is the one argument, a text")?;
    let output = gold.result.get("output").unwrap_or(&Value::Null);
    let wanted = output.as_array().and_then(|found| found.last()).unwrap_or(output).get("name").and_then(Value::as_str);
    let same_words = gold.arguments.get("keywords").is_some_and(|recorded| recorded == keywords);
    Ok(same_words || (wanted.is_some() && searcher::search(keywords) == wanted))
}

/// Parameter names that recorded calls use and the tool no longer has, each with the name that it has now.
struct OldNames(Vec<(String, &'static str)>);

impl OldNames {
    /// Pairs, in order, the names that the tool does not know with the required ones that are missing.
    fn of(tool: &Tool, gold: &Map<String, Value>) -> Self {
        let unknown: Vec<&String> = gold.keys().filter(|name| tool.parameter(name).is_none()).collect();
        let missing: Vec<&'static str> = tool.required().filter(|name| !gold.contains_key(*name)).collect();
        if unknown.len() != missing.len() {
            return Self(Vec::new());
        }
        Self(unknown.into_iter().cloned().zip(missing).collect())
    }

    fn new_name<'a>(&self, name: &'a str) -> &'a str {
        self.0.iter().find(|(old, _)| old == name).map_or(name, |(_, new)| *new)
    }

    fn rename(&self, entries: &mut Map<String, Value>) {
        *entries =
            std::mem::take(entries).into_iter().map(|(name, value)| (self.new_name(&name).to_owned(), value)).collect();
    }
}

/// Returns the arguments of a call with the tool's names and types.
fn arguments(
    tool: &'static Tool,
    names: &OldNames,
    given: &Map<String, Value>,
    verdict: &mut FairVerdict,
) -> Result<Map<String, Value>, String> {
    let mut listed = false;
    let mut arguments = Map::new();
    for (name, value) in given {
        let name = names.new_name(name);
        let parameter = tool.parameter(name).ok_or_else(|| format!("`{}` has no parameter `{name}`", tool.name))?;
        let value = loose::converted(parameter, value).map_err(|error| error.to_string())?;
        listed |= parameter.kind == Kind::List && value.is_array();
        arguments.insert(name.to_owned(), value);
    }
    if listed {
        verdict.repairs.push(Repair::ListValue);
    }
    Ok(arguments)
}

/// Returns the arguments of a recorded call with the tool's names and types.
fn arguments_of(
    tool: &'static Tool,
    names: &OldNames,
    recorded: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let mut unused =
        FairVerdict { correct: false, reason: None, repairs: Vec::new(), call: None, result: None, defect: None };
    arguments(tool, names, recorded, &mut unused)
}

/// Returns a recorded call with the tool's names and types, as a model should write it.
pub fn as_written(recorded: &Recorded) -> Call {
    let arguments = running::tool(&recorded.name).ok().and_then(|tool| {
        let names = OldNames::of(tool, &recorded.arguments);
        arguments_of(tool, &names, &recorded.arguments).ok()
    });
    Call { name: recorded.name.clone(), arguments: arguments.unwrap_or_else(|| recorded.arguments.clone()) }
}

/// Returns the world after recorded calls. What they drew at random is what was recorded; a call that cannot run changes
/// nothing.
pub(super) fn replayed(earlier: &[Recorded]) -> World {
    let mut world = World::new(Seed(0));
    for recorded in earlier {
        let Ok(tool) = running::tool(&recorded.name) else { continue };
        let names = OldNames::of(tool, &recorded.arguments);
        if let Ok(arguments) = arguments_of(tool, &names, &recorded.arguments) {
            hand_out(&mut world, recorded);
            // A tool that is not run leaves the world as it is, which is all that counts here.
            drop(world.run(tool, arguments));
            world.forget_recorded();
        }
    }
    world
}

/// Lets the world draw what the recorded call drew.
fn hand_out(world: &mut World, recorded: &Recorded) {
    let output = recorded.result.get("output");
    let drawn = match recorded.name.as_str() {
        "RegisterUser" => output.and_then(|output| output.get("token")),
        "AppointmentRegistration" => output,
        _ => None,
    };
    if let Some(Value::String(drawn)) = drawn {
        world.hand_out(drawn);
    }
}
