//! Questions with known answers, drawn from templates.

use std::{collections::HashSet, sync::LazyLock};

use indexmap::IndexMap;
use rand::{
    Rng,
    seq::{IndexedRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    ApiError, Domain, Level, Suite, World,
    api::{self, Api},
    draw::{self, Draw},
    phrases::{RECIPES, Recipe},
};
use crate::{
    base::Seed,
    tools::{Call, Environment, ExpectedCall, Language, Message, Sample, ToolSpec, equality::same_multiset},
};

/// What to draw.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GenerateOptions {
    /// How hard the questions are.
    pub level: Level,
    /// The domains to ask about; empty: all.
    pub domains: Vec<Domain>,
    /// The fewest tools that a sample lists; left out: 2.
    pub min_tools: Option<usize>,
    /// The most tools that a sample lists; left out: 3 at the easy level, 4 at the full one.
    pub max_tools: Option<usize>,
    /// The share of samples that need two calls; left out: 0 at the easy level, 0.2 at the full one.
    pub two_call_share: Option<f64>,
    /// The share of samples that none of the listed tools can answer; left out: 0.
    pub no_call_share: Option<f64>,
}

impl GenerateOptions {
    /// Returns the defaults of a level.
    pub fn at(level: Level) -> Self {
        Self { level, ..Self::default() }
    }
}

/// Why no samples could be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// An option is out of its range.
    #[error("the option `{option}` is {value}: expected {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// Its range.
        expected: String,
    },
    /// The templates and pools hold too few different questions.
    #[error(
        "{drawn} different questions were drawn of the {wanted} asked for, and no more were found; ask for fewer, or for more domains or a harder level"
    )]
    TooFew {
        /// How many were drawn.
        drawn: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// A gold call fails in its own sample: a mistake in the suite's tables.
    #[error("the gold call `{call}` of `{question}` fails")]
    Gold {
        /// The question.
        question: String,
        /// The call.
        call: String,
        /// Why.
        #[source]
        source: Box<ApiError>,
    },
}

/// How often a question that was asked before is drawn anew.
const TRIES: usize = 400;

/// The options with their defaults filled in and checked.
struct Plan {
    level: Level,
    recipes: Vec<&'static Recipe>,
    tools: std::ops::RangeInclusive<usize>,
    two_calls: f64,
    no_call: f64,
}

impl Plan {
    fn new(options: &GenerateOptions) -> Result<Self, GenerateError> {
        let full = options.level == Level::Full;
        let recipes: Vec<&Recipe> = RECIPES
            .iter()
            .filter(|recipe| options.domains.is_empty() || options.domains.contains(&api_of(recipe.tool).domain))
            .collect();
        let (min, max) = (options.min_tools.unwrap_or(2), options.max_tools.unwrap_or(if full { 4 } else { 3 }));
        let wrong = |option, value: String, expected: String| GenerateError::Option { option, value, expected };
        if !(1..=api::ALL.len() - 2).contains(&min) {
            return Err(wrong("min-tools", min.to_string(), format!("1 to {}", api::ALL.len() - 2)));
        }
        if !(min..=api::ALL.len() - 2).contains(&max) {
            return Err(wrong("max-tools", max.to_string(), format!("{min} to {}", api::ALL.len() - 2)));
        }
        let two_calls = options.two_call_share.unwrap_or(if full { 0.2 } else { 0.0 });
        let no_call = options.no_call_share.unwrap_or(0.0);
        for (option, share) in [("two-call-share", two_calls), ("no-call-share", no_call)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(wrong(option, share.to_string(), "0 to 1".to_owned()));
            }
        }
        if two_calls > 0.0 && max < 2 {
            return Err(wrong("max-tools", max.to_string(), "at least 2 where two calls are needed".to_owned()));
        }
        Ok(Self { level: options.level, recipes, tools: min..=max, two_calls, no_call })
    }
}

/// Draws `count` samples of the household, no two with the same question. The first samples do not depend on `count`.
///
/// Every gold call was executed in the sample's initial state, in both orders where there are two.
///
/// # Errors
/// When an option is out of range, or there are not that many different questions.
pub fn generate(seed: Seed, count: usize, options: &GenerateOptions) -> Result<Vec<Sample>, GenerateError> {
    let plan = Plan::new(options)?;
    let mut asked = HashSet::new();
    let mut samples = Vec::with_capacity(count);
    for index in 0..count {
        let mut rng = seed.stream("household", index as u64);
        let id = format!("household-{}-{:x}-{index}", plan.level.as_str(), seed.0);
        let mut found = None;
        for _ in 0..TRIES {
            if let Some(sample) = draw(&plan, &mut rng, &id)?
                && asked.insert(sample.question().to_owned())
            {
                found = Some(sample);
                break;
            }
        }
        let Some(sample) = found else {
            return Err(GenerateError::TooFew { drawn: samples.len(), wanted: count });
        };
        samples.push(sample);
    }
    Ok(samples)
}

/// One call with the sentence that asks for it.
struct Request {
    api: &'static Api,
    sentence: String,
    call: Call,
    expected: ExpectedCall,
}

/// Draws one sample; `None` when the draw led nowhere.
fn draw(plan: &Plan, rng: &mut ChaCha8Rng, id: &str) -> Result<Option<Sample>, GenerateError> {
    let world = draw::world(rng, plan.level);
    let wanted = if rng.random_bool(plan.two_calls) { 2 } else { 1 };
    let no_call = rng.random_bool(plan.no_call);
    let mut requests = Vec::with_capacity(wanted);
    let mut drawing = Draw { rng, level: plan.level, world: &world, used: Default::default() };
    for _ in 0..wanted {
        let Some(recipe) = plan.recipes.choose(drawing.rng) else { return Ok(None) };
        match request(recipe, &mut drawing) {
            Some(request) => requests.push(request),
            None => return Ok(None),
        }
    }
    let question = join(plan.level, rng, &requests);
    let gold: Vec<Call> = requests.iter().map(|request| request.call.clone()).collect();
    if !executes(&world, &gold, &question)? {
        return Ok(None);
    }
    let category = match &requests[..] {
        _ if no_call => "no-call",
        [only] => only.api.domain.as_str(),
        _ => "two-calls",
    };
    let tools = tools(plan, rng, &requests, no_call);
    let (answer, gold) =
        if no_call { (vec![], vec![]) } else { (requests.into_iter().map(|request| request.expected).collect(), gold) };
    Ok(Some(Sample {
        id: id.to_owned(),
        category: category.to_owned(),
        messages: vec![Message::new("user", question)],
        tools,
        answer,
        gold,
        environment: Some(Environment { suite: Suite::Household.name().to_owned(), state: world.state() }),
        language: Language::Python,
        demonstrations: Vec::new(),
        round: 0,
    }))
}

fn request(recipe: &'static Recipe, drawing: &mut Draw) -> Option<Request> {
    let api = api_of(recipe.tool);
    let full = if drawing.level == Level::Full { recipe.full } else { &[] };
    let phrases = recipe.easy.len() + full.len();
    let chosen = drawing.rng.random_range(0..phrases);
    let phrase = recipe.easy.get(chosen).or_else(|| full.get(chosen - recipe.easy.len()))?;
    let mut sentence = (*phrase).to_owned();
    let mut arguments = Map::new();
    let mut accepted = IndexMap::new();
    for parameter in api.parameters {
        let default = parameter.default_value();
        let placeholder = format!("{{{}}}", parameter.name);
        if !phrase.contains(&placeholder) {
            if drawing.level == Level::Full {
                accepted.insert(parameter.name.to_owned(), vec![default?, Value::from("")]);
            }
            continue;
        }
        let (_, pool) = recipe.slots.iter().find(|(argument, _)| *argument == parameter.name)?;
        let drawn = drawing.value(*pool)?;
        sentence = sentence.replace(&placeholder, &drawn.spoken);
        arguments.insert(parameter.name.to_owned(), drawn.value.clone());
        let mut values = vec![drawn.value];
        values.extend(drawn.others);
        if default.is_some_and(|default| values.contains(&default)) {
            values.push(Value::from(""));
        }
        accepted.insert(parameter.name.to_owned(), values);
    }
    let name = api.name.to_owned();
    Some(Request {
        api,
        sentence: draw::capitalised(&sentence),
        call: Call { name: name.clone(), arguments },
        expected: ExpectedCall { name, arguments: accepted },
    })
}

fn join(level: Level, rng: &mut ChaCha8Rng, requests: &[Request]) -> String {
    const OPENINGS: &[&str] = &["", "", "", "Hi! ", "Hello. ", "Quick one: ", "Next: "];
    const EASY_OPENINGS: &[&str] = &["", "", "Now: ", "Next: "];
    const JOINTS: &[&str] = &[" And: ", " Also: ", " Then: ", " "];
    let openings = if level == Level::Easy { EASY_OPENINGS } else { OPENINGS };
    let mut question = openings.choose(rng).copied().unwrap_or_default().to_owned();
    for (index, request) in requests.iter().enumerate() {
        if index > 0 {
            question.push_str(JOINTS.choose(rng).copied().unwrap_or(" "));
        }
        question.push_str(&request.sentence);
    }
    question
}

/// Runs the gold calls. Two calls must give the same results and state in both orders, else the sample is dropped.
fn executes(world: &World, gold: &[Call], question: &str) -> Result<bool, GenerateError> {
    let run = |calls: &mut dyn Iterator<Item = &Call>| {
        let mut world = world.clone();
        let results: Result<Vec<Value>, GenerateError> = calls
            .map(|call| {
                world.call(call).map_err(|source| GenerateError::Gold {
                    question: question.to_owned(),
                    call: call.to_string(),
                    source: Box::new(source),
                })
            })
            .collect();
        results.map(|results| (results, world))
    };
    let forwards = run(&mut gold.iter());
    if gold.len() < 2 {
        return forwards.map(|_| true);
    }
    // Two calls may be at odds (one lists what the other makes): that is no mistake, only no sample.
    let (Ok((results, after)), Ok((other_results, other_after))) = (forwards, run(&mut gold.iter().rev())) else {
        return Ok(false);
    };
    Ok(gold[0] != gold[1] && after == other_after && same_multiset(&results, &other_results))
}

/// Lists the tools that are needed among others, half of them from the same domains, in random order.
fn tools(plan: &Plan, rng: &mut ChaCha8Rng, requests: &[Request], no_call: bool) -> Vec<ToolSpec> {
    static SPECS: LazyLock<[Vec<ToolSpec>; 2]> =
        LazyLock::new(|| [Level::Easy, Level::Full].map(|level| Suite::Household.tools_at(level)));
    let mut listed: Vec<&str> = Vec::new();
    for request in requests {
        if !listed.contains(&request.api.name) {
            listed.push(request.api.name);
        }
    }
    let needed = listed.len();
    let wanted = rng.random_range(plan.tools.clone()).max(needed);
    while listed.len() < if no_call { wanted + needed } else { wanted } {
        let near = rng.random_bool(0.5).then(|| requests.choose(rng)).flatten().map(|request| request.api.domain);
        let Some(api) = api::ALL.choose(rng) else { break };
        if !listed.contains(&api.name) && near.is_none_or(|domain| domain == api.domain) {
            listed.push(api.name);
        }
    }
    if no_call {
        listed.drain(..needed);
    }
    listed.shuffle(rng);
    let specs = &SPECS[usize::from(plan.level == Level::Full)];
    listed.iter().filter_map(|name| specs.iter().find(|spec| spec.name == *name)).cloned().collect()
}

fn api_of(tool: &str) -> &'static Api {
    api::ALL.iter().find(|api| api.name == tool).expect("recipes are for tools of the table, which a test checks")
}
