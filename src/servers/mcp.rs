//! A client of one Model Context Protocol server over stdio, with a blocking face.
//!
//! The protocol is `rmcp`'s; [`super::transport`] bounds what it reads. Each client owns a current-thread runtime that runs
//! only while a call waits, so there is no thread per server. A client that met a fault is of no more use: [`Client::call`]
//! says why, and whoever owns it starts another. Arguments are not checked here (see [`super::check`]).

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use rmcp::{
    ClientHandler, RoleClient,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientConfig, ContentBlock, PaginatedRequestParams,
        ResourceContents, Tool,
    },
    service::{ClientInitializeError, RunningService, ServiceError, serve_client},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{
    error::ServerError,
    frames::FrameLimits,
    process::{Ended, Launch, Launcher, Process},
    transport::{Fault, PipeTransport, Watch},
};
use crate::tools::{Call, ToolSpec};

/// Bytes that a server may write to stderr in one exchange.
const STDERR_ROOM: u64 = 4 << 20;
/// Tools and pages that a server may list at most.
const MOST_TOOLS: usize = 2_000;
const MOST_PAGES: usize = 100;

/// How long a server may take and how much it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From start to the list of tools.
    pub start: Duration,
    /// One call.
    pub call: Duration,
    /// Bytes.
    pub frames: FrameLimits,
}

impl Default for Limits {
    fn default() -> Self {
        // Half a minute starts Node or Python with cold caches; a tool that works on local data is done in ten seconds.
        Self { start: Duration::from_secs(30), call: Duration::from_secs(10), frames: FrameLimits::default() }
    }
}

/// What a tool gave back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// The texts of the result, a line break between them; what is no text is named in brackets.
    pub text: String,
    /// The structured result, where the tool gives one.
    pub structured: Option<Value>,
    /// The tool itself says that it failed.
    pub is_error: bool,
}

/// What we tell servers about us: a name, and that we can do nothing that they may ask for.
struct Quiet;

impl ClientHandler for Quiet {
    fn get_info(&self) -> ClientConfig {
        let mut info = ClientConfig::default();
        env!("CARGO_PKG_NAME").clone_into(&mut info.client_info.name);
        env!("CARGO_PKG_VERSION").clone_into(&mut info.client_info.version);
        info
    }
}

/// One running server.
pub struct Client {
    name: String,
    limits: Limits,
    tools: Vec<ToolSpec>,
    watch: Arc<Watch>,
    process: Process,
    service: RunningService<RoleClient, Quiet>,
    runtime: Runtime,
    /// Its output once more, to see whether it is still there.
    output: OwnedFd,
    /// It met a fault.
    broken: bool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("name", &self.name).field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Client {
    /// Starts a server, greets it and asks for its tools.
    ///
    /// # Errors
    /// [`ServerError`], whose message says at which step.
    pub fn start(launcher: &Launcher, launch: &Launch, limits: Limits) -> Result<Self, ServerError> {
        let name = launch.name();
        let failed = |reason: String| ServerError::Start { server: name.clone(), reason };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let (mut process, pipes) = {
            // Room for stderr, so that it is the frames that are found too large.
            let most = limits.frames.exchange as u64 + STDERR_ROOM;
            Process::start(launcher, launch, limits.start.max(limits.call), most).map_err(failed)?
        };
        let output = pipes.stdout.try_clone().map_err(|error| failed(error.to_string()))?;
        let watch = Arc::new(Watch::default());
        let deadline = tokio::time::Instant::now() + limits.start;
        let trouble = |problem: Problem, process: &mut Process, when: &str| {
            problem.explained(&name, when, limits.start, &watch, process)
        };
        let service = runtime.block_on(async {
            let transport = PipeTransport::new(pipes.stdin, pipes.stdout, limits.frames, Arc::clone(&watch))
                .map_err(|error| Problem::Unexpected(error.to_string()))?;
            match tokio::time::timeout_at(deadline, serve_client(Quiet, transport)).await {
                Ok(Ok(service)) => Ok(service),
                Ok(Err(error)) => Err(Problem::greeting(&error)),
                Err(_) => Err(Problem::Late),
            }
        });
        let service = service.map_err(|problem| trouble(problem, &mut process, "while it was greeted"))?;
        let tools = runtime.block_on(async {
            tokio::select! {
                listed = tokio::time::timeout_at(deadline, list_tools(&service)) => listed.unwrap_or(Err(Problem::Late)),
                () = watch.faulty.notified() => Err(Problem::Fault),
            }
        });
        let tools = tools.map_err(|problem| trouble(problem, &mut process, "while its tools were listed"))?;
        process.rest();
        let tools = tools.into_iter().map(tool_spec).collect();
        Ok(Self { name, limits, tools, watch, process, service, runtime, output, broken: false })
    }

    /// Returns the tools that the server listed when it started.
    pub fn tools(&self) -> &[ToolSpec] {
        &self.tools
    }

    /// Returns whether the server can be asked: it met no fault, and did not end while nobody asked.
    pub fn is_usable(&self) -> bool {
        !self.broken && self.watch.fault().is_none() && !self.has_hung_up()
    }

    fn has_hung_up(&self) -> bool {
        let mut pipe = [PollFd::new(&self.output, PollFlags::empty())];
        match poll(&mut pipe, Some(&Timespec::default())) {
            Ok(_) => pipe[0].revents().intersects(PollFlags::HUP | PollFlags::ERR),
            Err(_) => true,
        }
    }

    /// Makes one call and waits for its result.
    ///
    /// # Errors
    /// [`ServerError::Protocol`] if the server refuses the request, anything else if the server is not to be used any more;
    /// what the tool itself reports as its failure is a [`Reply`].
    pub fn call(&mut self, call: &Call) -> Result<Reply, ServerError> {
        let params = CallToolRequestParams::new(call.name.clone()).with_arguments(call.arguments.clone());
        self.process.begin_turn();
        let result = self.runtime.block_on(async {
            tokio::select! {
                biased;
                answer = tokio::time::timeout(self.limits.call, self.service.call_tool_once(params)) => match answer {
                    Ok(Ok(CallToolResponse::Complete(result))) => Ok(result),
                    Ok(Ok(_)) => Err(Problem::Unexpected("it asks back instead of answering".to_owned())),
                    Ok(Err(error)) => Err(Problem::service(&error)),
                    Err(_) => Err(Problem::Late),
                },
                () = self.watch.faulty.notified() => Err(Problem::Fault),
            }
        });
        self.process.rest();
        match result {
            Ok(result) => Ok(reply(result)),
            Err(problem) => {
                let when = format!("while `{}` was called", call.name);
                if !matches!(problem, Problem::Refused { .. }) {
                    self.broken = true;
                }
                Err(problem.explained(&self.name, &when, self.limits.call, &self.watch, &mut self.process))
            }
        }
    }
}

async fn list_tools(service: &RunningService<RoleClient, Quiet>) -> Result<Vec<Tool>, Problem> {
    let mut tools = Vec::new();
    let mut cursor = None;
    for _ in 0..MOST_PAGES {
        let params = cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let page = service.list_tools(params).await.map_err(|error| Problem::service(&error))?;
        tools.extend(page.tools);
        if tools.len() > MOST_TOOLS {
            return Err(Problem::Unexpected(format!("it lists more than {MOST_TOOLS} tools")));
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(tools),
        }
    }
    Err(Problem::Unexpected(format!("its list of tools has more than {MOST_PAGES} pages")))
}

fn tool_spec(tool: Tool) -> ToolSpec {
    ToolSpec {
        name: tool.name.into_owned(),
        description: tool.description.unwrap_or_default().into_owned(),
        parameters: Value::Object(Arc::unwrap_or_clone(tool.input_schema)),
    }
}

fn reply(result: CallToolResult) -> Reply {
    let texts: Vec<String> = result.content.into_iter().map(content_text).collect();
    Reply { text: texts.join("\n"), structured: result.structured_content, is_error: result.is_error.unwrap_or(false) }
}

fn content_text(content: ContentBlock) -> String {
    match content {
        ContentBlock::Text(text) => text.text,
        ContentBlock::Image(image) => format!("[image {}, {} base64 characters]", image.mime_type, image.data.len()),
        ContentBlock::Audio(audio) => format!("[audio {}, {} base64 characters]", audio.mime_type, audio.data.len()),
        ContentBlock::Resource(embedded) => match embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => text,
            ResourceContents::BlobResourceContents { uri, blob, .. } => {
                format!("[resource {uri}, {} base64 characters]", blob.len())
            }
            _ => "[resource]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[resource {}]", link.uri),
        _ => "[content of another kind]".to_owned(),
    }
}

/// What went wrong, before it is known why.
enum Problem {
    Late,
    /// The transport knows.
    Fault,
    Unexpected(String),
    Refused {
        code: i32,
        message: String,
    },
}

impl Problem {
    fn greeting(error: &ClientInitializeError) -> Self {
        match error {
            ClientInitializeError::JsonRpcError(error) => {
                Self::Refused { code: error.code.0, message: error.message.to_string() }
            }
            ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::TransportError { .. } => Self::Fault,
            other => Self::Unexpected(shortened(&other.to_string())),
        }
    }

    fn service(error: &ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => Self::Refused { code: error.code.0, message: error.message.to_string() },
            ServiceError::TransportSend(_) | ServiceError::TransportClosed | ServiceError::Cancelled { .. } => {
                Self::Fault
            }
            other => Self::Unexpected(shortened(&other.to_string())),
        }
    }

    fn explained(self, server: &str, when: &str, after: Duration, watch: &Watch, process: &mut Process) -> ServerError {
        let (server, when) = (server.to_owned(), when.to_owned());
        match self {
            Self::Refused { code, message } => ServerError::Protocol { server, when, code, message },
            Self::Late => ServerError::Hung { server, when, after, stderr: process.end().stderr },
            Self::Unexpected(reason) => {
                process.end();
                ServerError::Unexpected { server, when, reason }
            }
            Self::Fault => {
                let Ended { verdict, stderr } = process.end();
                match watch.fault() {
                    Some(Fault::Frame(source)) => ServerError::Broken { server, when, source },
                    _ => ServerError::Died { server, when, verdict, stderr },
                }
            }
        }
    }
}

fn shortened(text: &str) -> String {
    super::frames::beginning(text.as_bytes())
}
