//! The pipes to one server, as the transport that `rmcp` talks over.
//!
//! `rmcp` brings the protocol's types and its life cycle. Its own stdio transport is not used, because it skips what it cannot
//! read and lets answers to unasked questions fall: here the first such thing is a fault that ends the talk and is told.
//! Notifications are dropped as they come. Nothing is read between calls: a server that floods fills its pipe and waits.

use std::{
    collections::BTreeSet,
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rmcp::{
    RoleClient,
    model::{ClientJsonRpcMessage, JsonRpcMessage, RequestId, ServerJsonRpcMessage},
    transport::Transport,
};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt as _,
    net::unix::pipe::{Receiver, Sender},
    sync::{Mutex as AsyncMutex, Notify},
};

use super::frames::{Frame, FrameError, FrameLimits, Frames, read_frame};

/// Bytes read at once.
const CHUNK: usize = 1 << 16;

/// Why the pipes are of no more use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The server closed its output, or cannot be written to.
    Closed,
    /// The server sends what is no talk.
    Frame(FrameError),
}

/// What the transport and its client both know.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<State>,
    /// Told when there is a fault.
    pub(super) faulty: Notify,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// Ids of the questions that have no answer yet, as JSON text.
    open: BTreeSet<String>,
    /// A question was asked since the last bytes came.
    asked: bool,
}

impl Watch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the first fault.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.state().fault.clone()
    }

    fn fail(&self, fault: Fault) {
        self.state().fault.get_or_insert(fault);
        self.faulty.notify_one();
    }

    fn asks(&self, id: String) {
        let mut state = self.state();
        state.open.insert(id);
        state.asked = true;
    }

    /// Takes note of an answer; false: nobody asked.
    fn answered(&self, id: &Value) -> bool {
        let mut state = self.state();
        // Some servers give a number back as a text.
        state.open.remove(&id.to_string()) || id.as_str().is_some_and(|text| state.open.remove(text))
    }

    /// Takes the one question that is open; several or none: nobody knows which was meant.
    fn answered_only(&self) -> Option<RequestId> {
        let mut state = self.state();
        let only = state.open.pop_first().filter(|_| state.open.is_empty())?;
        serde_json::from_str(&only).ok()
    }

    fn begins_exchange(&self) -> bool {
        std::mem::take(&mut self.state().asked)
    }
}

/// The pipes.
pub(super) struct PipeTransport {
    reader: Receiver,
    writer: Arc<AsyncMutex<Option<Sender>>>,
    frames: Frames,
    chunk: Box<[u8]>,
    watch: Arc<Watch>,
}

impl PipeTransport {
    /// Wraps the pipes. Must be called inside a runtime.
    pub(super) fn new(stdin: OwnedFd, stdout: OwnedFd, limits: FrameLimits, watch: Arc<Watch>) -> io::Result<Self> {
        Ok(Self {
            reader: Receiver::from_owned_fd(stdout)?,
            writer: Arc::new(AsyncMutex::new(Some(Sender::from_owned_fd(stdin)?))),
            frames: Frames::new(limits),
            chunk: vec![0; CHUNK].into_boxed_slice(),
            watch,
        })
    }

    /// Returns the next message for `rmcp`. Cancelling it loses nothing.
    async fn next_message(&mut self) -> Result<ServerJsonRpcMessage, Fault> {
        loop {
            while let Some(line) = self.frames.next_line().map_err(Fault::Frame)? {
                match read_frame(line).map_err(Fault::Frame)? {
                    Frame::Notification => {}
                    Frame::Request(message) => return Ok(*message),
                    Frame::Answer { id, message } if self.watch.answered(&id) => return Ok(*message),
                    // An error without an id belongs to the one question that is open.
                    Frame::Answer { id, mut message } => {
                        let asked = if id.is_null() { self.watch.answered_only() } else { None };
                        match (&mut *message, asked) {
                            (JsonRpcMessage::Error(error), Some(asked)) => error.id = Some(asked),
                            _ => return Err(Fault::Frame(FrameError::Unasked { id: id.to_string() })),
                        }
                        return Ok(*message);
                    }
                }
            }
            self.reader.readable().await.map_err(|_| Fault::Closed)?;
            match self.reader.try_read(&mut self.chunk) {
                Ok(0) => return Err(Fault::Closed),
                Ok(count) => {
                    if self.watch.begins_exchange() {
                        self.frames.begin_exchange();
                    }
                    self.frames.push(&self.chunk[..count]).map_err(Fault::Frame)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Fault::Closed),
            }
        }
    }
}

impl Transport<RoleClient> for PipeTransport {
    type Error = io::Error;

    fn send(&mut self, item: ClientJsonRpcMessage) -> impl Future<Output = io::Result<()>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &item {
            self.watch.asks(serde_json::to_string(&request.id).unwrap_or_default());
        }
        let writer = Arc::clone(&self.writer);
        let watch = Arc::clone(&self.watch);
        async move {
            let mut line = serde_json::to_vec(&item)?;
            line.push(b'\n');
            let mut writer = writer.lock().await;
            let sent = match writer.as_mut() {
                Some(writer) => writer.write_all(&line).await,
                None => Err(io::ErrorKind::NotConnected.into()),
            };
            if sent.is_err() {
                watch.fail(Fault::Closed);
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        match self.next_message().await {
            Ok(message) => Some(message),
            Err(fault) => {
                self.watch.fail(fault);
                None
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.writer.lock().await.take();
        Ok(())
    }
}
