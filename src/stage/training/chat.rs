//! Conversations as the chat template writes them.

use crate::{
    lm::{ChatMessage, LmError, Tokenizer},
    tools::Message,
};

/// Stands for the turns so far while the chat template writes what follows them; no template looks into a message.
const TURN: &str = "\u{2}the turn\u{3}";

/// Returns a conversation up to where the assistant is to go on, as text.
///
/// # Errors
/// [`LmError`] when the chat template refuses it.
pub(in crate::stage) fn prompt(tokenizer: &Tokenizer, messages: &[Message]) -> Result<String, LmError> {
    let messages: Vec<ChatMessage> = messages.iter().map(said).collect();
    tokenizer.render_chat(&messages, true)
}

/// Returns what the chat template writes after a turn, as tokens: its end, unless the model has drawn that (`closed`), the
/// messages, and the begin of the next turn.
///
/// # Errors
/// [`LmError`] when the chat template refuses the messages.
pub(in crate::stage) fn following(
    tokenizer: &Tokenizer,
    messages: &[Message],
    closed: bool,
) -> Result<Vec<u32>, LmError> {
    let mut chat = vec![ChatMessage::new("user", "question"), ChatMessage::new("assistant", TURN)];
    chat.extend(messages.iter().map(said));
    let text = tokenizer.render_chat(&chat, true)?;
    let rest = text.split_once(TURN).map_or("", |(_, rest)| rest);
    let tokens = tokenizer.encode(rest, false)?;
    let end = tokens.iter().position(|token| tokenizer.eos.contains(token));
    Ok(match end {
        Some(end) if closed => tokens[end + 1..].to_vec(),
        _ => tokens,
    })
}

fn said(message: &Message) -> ChatMessage {
    ChatMessage::new(&*message.role, &*message.content)
}
