//! From a sample to the tokens that a model sees and to those that it should say.

use serde::Deserialize;

use crate::{
    lm::{ChatMessage, Tokenizer},
    prompt::Template,
    stage::{StageCtx, StageError, training::chat},
    tools::{Message, Sample, Style, answer_text},
};

/// The `template` parameter of a kind, ready to render.
pub(in crate::stage) struct Prompter {
    template: Template,
}

impl Prompter {
    /// Reads the `template` file of the stage.
    pub(in crate::stage) fn read(context: &StageCtx) -> Result<Self, StageError> {
        let template = Template::named("parameter `template`", &context.file("template")?)
            .map_err(StageError::failed("read the prompt template"))?;
        Ok(Self { template })
    }

    /// Returns the conversation up to the answer; with `demonstrated` the sample's demonstrations come before.
    pub(in crate::stage) fn messages(&self, sample: &Sample, demonstrated: bool) -> Result<Vec<Message>, StageError> {
        let bare;
        let sample = if demonstrated || sample.demonstrations.is_empty() {
            sample
        } else {
            bare = Sample { demonstrations: Vec::new(), ..sample.clone() };
            &bare
        };
        self.template.render(sample).map_err(StageError::failed("render a prompt"))
    }

    /// Returns the prompt as text, by the model's chat template, up to where the assistant is to go on.
    pub(in crate::stage) fn text(
        &self,
        sample: &Sample,
        demonstrated: bool,
        tokenizer: &Tokenizer,
    ) -> Result<String, StageError> {
        chat::prompt(tokenizer, &self.messages(sample, demonstrated)?)
            .map_err(StageError::failed(format!("render the chat of sample `{}`", sample.id)))
    }

    /// Returns the prompt as tokens.
    pub(in crate::stage) fn tokens(
        &self,
        sample: &Sample,
        demonstrated: bool,
        tokenizer: &Tokenizer,
    ) -> Result<Vec<u32>, StageError> {
        encode(tokenizer, &self.text(sample, demonstrated, tokenizer)?)
    }
}

/// Returns the gold answer as tokens, with the token that ends the turn.
pub(in crate::stage) fn answer_tokens(
    sample: &Sample,
    style: Style,
    tokenizer: &Tokenizer,
    end_of_turn: u32,
) -> Result<Vec<u32>, StageError> {
    let mut tokens = encode(tokenizer, &answer_text(&sample.gold, style))?;
    tokens.push(end_of_turn);
    Ok(tokens)
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, StageError> {
    tokenizer.encode(text, false).map_err(StageError::failed("tokenise"))
}

/// Returns the token that ends the assistant's turn: of the tokens that end a generation, the one that the chat template
/// writes after an answer.
pub(in crate::stage) fn end_of_turn(tokenizer: &Tokenizer) -> Result<u32, StageError> {
    let turns = [ChatMessage::new("user", "question"), ChatMessage::new("assistant", "answer")];
    let text = tokenizer.render_chat(&turns, false).map_err(StageError::failed("render a chat"))?;
    let written = encode(tokenizer, &text)?.into_iter().rev().find(|token| tokenizer.eos.contains(token));
    written.or_else(|| tokenizer.eos.first().copied()).ok_or_else(|| {
        StageError::data(
            "input `model`",
            "names no token that ends a turn",
            "set `eos_token_id` in its config.json or `eos_token` in its tokenizer_config.json",
        )
    })
}

/// What becomes of samples that do not fit the model's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::stage) enum LongPrompts {
    /// The stage fails.
    Error,
    /// They are left out, and counted.
    Skip,
    /// They are left out and count as answered wrong.
    Wrong,
}

/// One sample's prompts.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stage) struct Question {
    /// The sample's index in its table.
    pub(in crate::stage) sample: usize,
    /// The prompt without demonstrations.
    pub(in crate::stage) bare: Vec<u32>,
    /// The prompt with demonstrations, if the sample carries any.
    pub(in crate::stage) shown: Option<Vec<u32>>,
}

impl Question {
    /// Returns the prompt with demonstrations if they are wanted and there.
    pub(in crate::stage) fn tokens(&self, demonstrated: bool) -> &[u32] {
        match &self.shown {
            Some(shown) if demonstrated => shown,
            _ => &self.bare,
        }
    }
}

/// How long prompts may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::stage) struct Room {
    /// The model's context, in tokens.
    pub(in crate::stage) context: usize,
    /// What becomes of those that are longer.
    pub(in crate::stage) long: LongPrompts,
}

/// Returns the questions of all samples that fit, each with `reserved(sample)` tokens of the context left, and says how
/// many do not. With `demonstrations` off none are shown.
pub(in crate::stage) fn questions(
    context: &mut StageCtx,
    samples: &[Sample],
    tokenizer: &Tokenizer,
    demonstrations: bool,
    room: Room,
    mut reserved: impl FnMut(usize) -> usize,
) -> Result<Vec<Question>, StageError> {
    let prompter = Prompter::read(context)?;
    let (mut questions, mut skipped) = (Vec::with_capacity(samples.len()), 0);
    for (index, sample) in samples.iter().enumerate() {
        let shown = (demonstrations && !sample.demonstrations.is_empty())
            .then(|| prompter.tokens(sample, true, tokenizer))
            .transpose()?;
        let question = Question { sample: index, bare: prompter.tokens(sample, false, tokenizer)?, shown };
        let longest = question.shown.as_ref().map_or(0, Vec::len).max(question.bare.len());
        let wanted = longest + reserved(index);
        if wanted <= room.context {
            questions.push(question);
        } else if room.long != LongPrompts::Error {
            skipped += 1;
        } else {
            return Err(StageError::data(
                format!("sample `{}`", sample.id),
                format!(
                    "has a prompt of {longest} tokens; with its answer that is {wanted}, the model holds {}",
                    room.context
                ),
                "shorten the template, the demonstrations or `max-tokens`, or set `long-prompts`",
            ));
        }
    }
    if skipped > 0 {
        context.log(format!("{skipped} of {} samples are left out: too long for the model", samples.len()));
    }
    if questions.is_empty() && room.long != LongPrompts::Wrong {
        return Err(StageError::data(
            "input `samples`",
            format!("no sample fits the model's context of {} tokens", room.context),
            "shorten the template, the demonstrations or `max-tokens`",
        ));
    }
    Ok(questions)
}
