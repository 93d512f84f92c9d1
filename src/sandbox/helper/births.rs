//! The kernel asks the supervisor before a process or thread of the program is born, so that no bomb outgrows the limit.
//!
//! A seccomp filter holds every `fork`, `vfork` and `clone` until it is answered. Only asks and answers here: how many may
//! live is the supervisor's to say. `clone3` needs no question, because no program in a sandbox has it (`seccomp.rs`).

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::{seccomp, system};

/// Where the questions arrive.
#[derive(Debug)]
pub(super) struct Births {
    questions: OwnedFd,
}

impl Births {
    /// Has this process and all it starts ask from now on, and passes the place of the questions on.
    ///
    /// # Errors
    /// Another program listens already: the kernel knows one listener for each process.
    pub(super) fn announce(to: &UnixStream) -> Result<(), String> {
        let filter = seccomp::births()?;
        let questions = system::seccomp_listener(&filter).map_err(|error| error.to_string())?;
        let listeners = [questions.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&listeners));
        sendmsg(to, &[IoSlice::new(b"b")], &mut ancillary, SendFlags::empty()).map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Takes what [`Births::announce`] passed on.
    pub(super) fn receive(from: &UnixStream) -> io::Result<Self> {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let questions = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut passed) => passed.next(),
            _ => None,
        });
        questions.map(|questions| Self { questions }).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Lets the next one be born. Who asked and is dead meanwhile needs no answer.
    pub(super) fn allow_one(&self) {
        if let Ok(question) = system::next_question(self.as_fd()) {
            let _ = system::answer_go_on(self.as_fd(), question);
        }
    }
}

impl AsFd for Births {
    /// Can be read when somebody asks.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.questions.as_fd()
    }
}
