//! One template file.

use std::sync::Arc;

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, context, syntax::SyntaxConfig, value::Serde};

use super::{PromptError, filters};
use crate::tools::{Message, Sample, Style, answer_text};

/// How many instructions one rendering may take: hundreds of tools fit, an endless loop does not.
const FUEL: u64 = 5_000_000;
/// The longest piece of a template that a message shows, in bytes.
const MAX_SHOWN: usize = 80;
const SYSTEM: &str = "system";
const USER: &str = "user";
const MESSAGES: &str = "messages";

/// A compiled template: Jinja with the blocks `system` and `user`, or with the block `messages` alone.
///
/// Both blocks see `question` (the last user message), `messages`, `tools`, `category`, `language` and `id`; beside
/// Jinja's own filters there are `tojson(indent=…)` and `signature`. White space at the ends of a block is dropped, and
/// an empty `system` block means no system message. Undefined names are errors. There are no other files to include.
///
/// A block `messages` sees the same and writes the whole conversation as JSON, `[{"role": …, "content": …}…]`: what texts
/// it has stays as it is, white space included. `{{ messages | tojson }}` shows a sample's messages as they are.
///
/// ```
/// use toolexpander::{base::Seed, prompt::Template, tools::suite::{GenerateOptions, generate}};
///
/// let template = Template::new("{% block system %}Call a tool.{% endblock %}{% block user %}{{ question }}{% endblock %}")?;
/// let sample = generate(Seed(7), 1, &GenerateOptions::default())?.remove(0);
/// let messages = template.render(&sample)?;
/// assert_eq!(messages[0].content, "Call a tool.");
/// assert_eq!(messages[1].content, "Next: Transfer 85 from reserve to rent.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    name: Arc<str>,
    source: Arc<str>,
    /// Whether the block `messages` writes the conversation.
    whole: bool,
}

impl Template {
    /// Compiles a template, called `template` in messages.
    ///
    /// # Errors
    /// When it is no Jinja, or lacks a block.
    pub fn new(source: &str) -> Result<Self, PromptError> {
        Self::named("template", source)
    }

    /// Compiles a template; `name`, its path, is what messages call it.
    ///
    /// # Errors
    /// When it is no Jinja, or lacks a block.
    pub fn named(name: &str, source: &str) -> Result<Self, PromptError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_syntax(block_lines());
        environment.set_fuel(Some(FUEL));
        environment.add_filter("tojson", filters::tojson);
        environment.add_filter("signature", filters::signature);
        environment.add_template_owned(name.to_owned(), source.to_owned()).map_err(|error| PromptError::Syntax {
            template: name.to_owned(),
            line: error.line().unwrap_or(1),
            reason: reason(&error),
        })?;
        let whole = declares(source, MESSAGES);
        let template = Self { environment: Arc::new(environment), name: name.into(), source: source.into(), whole };
        for block in [SYSTEM, USER] {
            if !whole && !declares(source, block) {
                return Err(PromptError::MissingBlock { template: name.to_owned(), block });
            }
        }
        Ok(template)
    }

    /// Returns the messages that ask a sample: the system text, the demonstrations, earlier turns as they stand, and the
    /// question; of a template with the block `messages`, those, with the demonstrations behind the first system messages.
    ///
    /// # Errors
    /// When the template fails on the sample, the sample's last message is not the user's, or what the block `messages`
    /// writes is no list of messages.
    pub fn render(&self, sample: &Sample) -> Result<Vec<Message>, PromptError> {
        if self.whole {
            return self.conversation(sample);
        }
        let (earlier, question) = split_question(sample)?;
        let [system, user] = self.blocks([SYSTEM, USER], sample, question)?;
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(Message::new(SYSTEM, system));
        }
        messages.extend(sample.demonstrations.iter().flatten().cloned());
        messages.extend(earlier.iter().cloned());
        messages.push(Message::new(USER, user));
        Ok(messages)
    }

    /// Returns what the block `messages` writes, with the demonstrations.
    fn conversation(&self, sample: &Sample) -> Result<Vec<Message>, PromptError> {
        let [text] = self.blocks([MESSAGES], sample, sample.question())?;
        let mut messages: Vec<Message> = serde_json::from_str(&text).map_err(|error| PromptError::Sample {
            sample: sample.id.clone(),
            reason: format!("gets no JSON list of messages from the block `{MESSAGES}` of {}: {error}", self.name),
        })?;
        let behind = messages.iter().take_while(|message| message.role == SYSTEM).count();
        messages.splice(behind..behind, sample.demonstrations.iter().flatten().cloned());
        Ok(messages)
    }

    /// Returns the text of the user's turn alone; of a template with the block `messages`, the question as it stands.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn question(&self, sample: &Sample) -> Result<String, PromptError> {
        if self.whole {
            return Ok(split_question(sample)?.1.to_owned());
        }
        let [user] = self.blocks([USER], sample, split_question(sample)?.1)?;
        Ok(user)
    }

    /// Returns a solved sample as a demonstration for others: its question in the format of this template and its gold
    /// calls in a style, as turns that go into `Sample::demonstrations`.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn demonstration(&self, sample: &Sample, style: Style) -> Result<Vec<Message>, PromptError> {
        let answer = answer_text(&sample.gold, style);
        Ok(vec![Message::new(USER, self.question(sample)?), Message::new("assistant", answer)])
    }

    fn blocks<const N: usize>(
        &self,
        blocks: [&'static str; N],
        sample: &Sample,
        question: &str,
    ) -> Result<[String; N], PromptError> {
        // Answers, gold calls and environments are left out on purpose: no template can give them away.
        let Sample { id, category, messages, tools, language, .. } = sample;
        let (messages, tools, language) = (Serde(messages), Serde(tools), language.as_str());
        let context = context! { id, category, messages, tools, language, question };
        let render = || {
            let template = self.environment.get_template(&self.name)?;
            let mut captured = template.render_captured_to(context, std::io::sink())?;
            let mut texts = [const { String::new() }; N];
            for (text, block) in texts.iter_mut().zip(blocks) {
                let rendered = captured.with_state_mut(|state| state.render_block(block))?;
                rendered.trim().clone_into(text);
            }
            Ok(texts)
        };
        render().map_err(|error: Error| {
            let error = innermost(&error);
            let place = error.range().and_then(|range| self.source.get(range)).map(str::trim);
            let place = place.filter(|place| !place.is_empty() && place.len() <= MAX_SHOWN && !place.contains('\n'));
            PromptError::Render {
                template: self.name.to_string(),
                line: error.line().unwrap_or(1),
                reason: place.map_or(reason(error), |place| format!("{}, near `{place}`", reason(error))),
                sample: id.clone(),
            }
        })
    }
}

/// A line that holds only a tag leaves no line behind.
fn block_lines() -> SyntaxConfig {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    syntax.expect("Jinja's own delimiters do not collide")
}

/// Returns the earlier messages and the text of the last one, which must be the user's.
fn split_question(sample: &Sample) -> Result<(&[Message], &str), PromptError> {
    let wrong = |reason: String| PromptError::Sample { sample: sample.id.clone(), reason };
    let (question, earlier) = sample.messages.split_last().ok_or_else(|| wrong("has no messages".to_owned()))?;
    if question.role != USER {
        return Err(wrong(format!("ends with a message of `{}`, not of the user", question.role)));
    }
    Ok((earlier, &question.content))
}

/// Returns whether a block is declared; the template compiles, so this is no guess about syntax.
fn declares(source: &str, block: &str) -> bool {
    source.match_indices("{%").any(|(at, mark)| {
        let mut words = source[at + mark.len()..].trim_start_matches(['-', '+']).split_whitespace();
        words.next() == Some("block") && words.next().is_some_and(|name| name.trim_end_matches("%}") == block)
    })
}

/// An error inside of a block is wrapped by the error of evaluating the block.
fn innermost(error: &Error) -> &Error {
    let mut innermost = error;
    let mut source = std::error::Error::source(error);
    while let Some(next) = source {
        if let Some(found) = next.downcast_ref::<Error>()
            && found.line().is_some()
        {
            innermost = found;
        }
        source = next.source();
    }
    innermost
}

fn reason(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
