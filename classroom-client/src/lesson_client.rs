//! A member's side of the lesson socket: joins, asks, and follows the lesson's state.

use crate::dial::{Dial, DialError, Stream};
use cloudschool_protocol::command::MemberCommand;
use cloudschool_protocol::event::Event;
use cloudschool_protocol::id::LessonId;
use cloudschool_protocol::lesson::State;
use cloudschool_protocol::member::Member;
use cloudschool_protocol::refusal::Refusal;
use cloudschool_protocol::socket::{ByeReason, ClientMessage, SchoolRung, ServerMessage, Slot};
use futures_util::{SinkExt, StreamExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};
use url::Url;

/// How long an answer may take before the node counts as broken.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Events a listener may be behind before it misses some. A whole demo lesson has fewer.
const EVENTS: usize = 4096;

/// What went wrong on a lesson socket.
#[derive(Debug, thiserror::Error)]
pub enum LessonError {
    #[error(transparent)]
    Unreachable(#[from] DialError),
    #[error("{0} has no lesson socket: {1}")]
    NoSocket(Url, #[source] Box<tungstenite::Error>),
    #[error("the node said goodbye ({reason:?}): {message}")]
    Bye { reason: ByeReason, message: String },
    #[error("the node sent something that is no message of the lesson socket: {0}")]
    Gibberish(String),
    #[error("refused ({code:?}): {message}")]
    Refused { code: Refusal, message: String },
    #[error("the node could not do it: {0}")]
    Failed(String),
    #[error("the node answered something else than was asked")]
    WrongAnswer,
    #[error("no answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
    #[error("the lesson socket is closed")]
    Closed,
}

type Socket = WebSocketStream<Stream>;

/// A member in a lesson. Dropping it closes the socket without leaving.
pub struct LessonClient {
    you: Member,
    ask: mpsc::UnboundedSender<Ask>,
    state: watch::Receiver<State>,
    events: broadcast::Sender<Event>,
    rungs: RungsTold,
    farewell: Farewell,
}

/// Why the node closed the socket, once it has.
type Farewell = Arc<OnceLock<(ByeReason, String)>>;

/// What a teacher's page was told of what reaches schools, and when.
type RungsTold = Arc<Mutex<Vec<(Instant, Vec<SchoolRung>)>>>;

enum Ask {
    Request { message: ClientMessage, id: u64, answer: oneshot::Sender<ServerMessage> },
    Leave,
}

impl LessonClient {
    /// Opens a socket to `node`, believing the CAs the system believes, and joins `lesson`.
    ///
    /// # Errors
    /// [`LessonError`] when the node can't be reached or does not let the member in.
    pub async fn join(node: &Url, lesson: &LessonId, token: &str) -> Result<Self, LessonError> {
        Self::join_by(&Dial::default(), node, lesson, token).await
    }

    /// As [`Self::join`], reaching the node by `dial`.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub async fn join_by(
        dial: &Dial,
        node: &Url,
        lesson: &LessonId,
        token: &str,
    ) -> Result<Self, LessonError> {
        // What a handshake needs is large, and not needed after it.
        Box::pin(Self::come_in(dial, node, lesson, token)).await
    }

    async fn come_in(
        dial: &Dial,
        node: &Url,
        lesson: &LessonId,
        token: &str,
    ) -> Result<Self, LessonError> {
        let address = || DialError::Address(node.clone());
        let mut url = node.join(&format!("/lessons/{lesson}/socket")).map_err(|_| address())?;
        let stream = dial.connect(&url).await?;
        let scheme = if node.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).map_err(|()| address())?;
        let opened = tokio_tungstenite::client_async(url.as_str(), stream);
        let opened = tokio::time::timeout(ANSWER_WITHIN, opened).await;
        let (mut socket, _) = opened
            .map_err(|_| LessonError::Silent)?
            .map_err(|e| LessonError::NoSocket(node.clone(), Box::new(e)))?;
        let join = ClientMessage::Join { token: token.into(), lang: dial.lang() };
        send(&mut socket, &join).await?;
        let welcome = tokio::time::timeout(ANSWER_WITHIN, receive(&mut socket)).await;
        let welcome = welcome.map_err(|_| LessonError::Silent)??;
        let (you, state) = match welcome {
            ServerMessage::Welcome { you, state, .. } => (you, *state),
            ServerMessage::Bye { reason, message } => {
                return Err(LessonError::Bye { reason, message });
            }
            ServerMessage::Refused { code, message, .. } => {
                return Err(LessonError::Refused { code, message });
            }
            _ => return Err(LessonError::WrongAnswer),
        };
        let (ask, asked) = mpsc::unbounded_channel();
        let (state_tx, state) = watch::channel(state);
        let (events, _) = broadcast::channel(EVENTS);
        let rungs = RungsTold::default();
        let farewell = Farewell::default();
        let follower = Follower {
            socket,
            asked,
            state: state_tx,
            events: events.clone(),
            rungs: rungs.clone(),
            farewell: farewell.clone(),
            waiting: HashMap::new(),
        };
        tokio::spawn(follower.run());
        Ok(Self { you, ask, state, events, rungs, farewell })
    }

    /// The member as the node sees it.
    #[must_use]
    pub fn you(&self) -> &Member {
        &self.you
    }

    /// The lesson as it is now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Every event from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// What the node has said reaches schools, and when it did.
    #[must_use]
    pub fn rungs(&self) -> Vec<(Instant, Vec<SchoolRung>)> {
        self.rungs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the lesson's state is as wanted.
    ///
    /// # Errors
    /// [`LessonError::Closed`] when the socket closes first.
    pub async fn until(&self, wanted: impl Fn(&State) -> bool) -> Result<State, LessonError> {
        let mut state = self.state.clone();
        let state = state.wait_for(|s| wanted(s)).await.map_err(|_| LessonError::Closed)?;
        Ok(state.clone())
    }

    /// Waits until the node closes the socket.
    pub async fn closed(&self) {
        self.ask.closed().await;
    }

    /// Why the node closed the socket, when it has said so.
    #[must_use]
    pub fn farewell(&self) -> Option<&(ByeReason, String)> {
        self.farewell.get()
    }

    /// Asks something of the lesson.
    ///
    /// # Errors
    /// [`LessonError::Refused`] when the lesson says no.
    pub async fn command(&self, command: MemberCommand) -> Result<(), LessonError> {
        let answer = self.request(|id| ClientMessage::Command { id, command }).await?;
        if matches!(answer, ServerMessage::Done { .. }) {
            Ok(())
        } else {
            Err(LessonError::WrongAnswer)
        }
    }

    /// Offers the watch connection; gives the node's answer.
    ///
    /// # Errors
    /// [`LessonError::Failed`] when the node can't use the offer.
    pub async fn offer_watch(&self, sdp: String) -> Result<String, LessonError> {
        match self.request(|id| ClientMessage::WatchOffer { id, sdp }).await? {
            ServerMessage::WatchAnswer { sdp, .. } => Ok(sdp),
            _ => Err(LessonError::WrongAnswer),
        }
    }

    /// Says what the m-lines of the watch connection are to show.
    ///
    /// # Errors
    /// [`LessonError::Refused`] or [`LessonError::Failed`] when the node can't.
    pub async fn watch(&self, slots: Vec<Slot>) -> Result<(), LessonError> {
        let answer = self.request(|id| ClientMessage::Watch { id, slots }).await?;
        if matches!(answer, ServerMessage::Done { .. }) {
            Ok(())
        } else {
            Err(LessonError::WrongAnswer)
        }
    }

    /// Leaves the lesson and waits until the socket is closed.
    pub async fn leave(self) {
        if self.ask.send(Ask::Leave).is_ok() {
            self.ask.closed().await;
        }
    }

    async fn request(
        &self,
        message: impl FnOnce(u64) -> ClientMessage,
    ) -> Result<ServerMessage, LessonError> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let request = Ask::Request { message: message(id), id, answer };
        self.ask.send(request).map_err(|_| LessonError::Closed)?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, answered).await;
        match answer.map_err(|_| LessonError::Silent)?.map_err(|_| LessonError::Closed)? {
            ServerMessage::Refused { code, message, .. } => {
                Err(LessonError::Refused { code, message })
            }
            ServerMessage::Failed { message, .. } => Err(LessonError::Failed(message)),
            answer => Ok(answer),
        }
    }
}

/// Reads the socket and keeps the state.
struct Follower {
    socket: Socket,
    asked: mpsc::UnboundedReceiver<Ask>,
    state: watch::Sender<State>,
    events: broadcast::Sender<Event>,
    rungs: RungsTold,
    farewell: Farewell,
    waiting: HashMap<u64, oneshot::Sender<ServerMessage>>,
}

impl Follower {
    async fn run(mut self) {
        if let Err(error) = self.follow().await {
            tracing::debug!(%error, "a lesson socket ended");
        }
        if let Err(error) = self.socket.close(None).await {
            tracing::trace!(%error, "closing a lesson socket");
        }
    }

    async fn follow(&mut self) -> Result<(), LessonError> {
        loop {
            tokio::select! {
                asked = self.asked.recv() => match asked {
                    Some(Ask::Request { message, id, answer }) => {
                        self.waiting.insert(id, answer);
                        send(&mut self.socket, &message).await?;
                    }
                    Some(Ask::Leave) => {
                        send(&mut self.socket, &ClientMessage::Leave).await?;
                        // The node closes the socket when it has taken the leave.
                        while receive(&mut self.socket).await.is_ok() {}
                        return Ok(());
                    }
                    None => return Ok(()),
                },
                message = receive(&mut self.socket) => self.take(message?)?,
            }
        }
    }

    fn take(&mut self, message: ServerMessage) -> Result<(), LessonError> {
        let id = match &message {
            ServerMessage::Done { id }
            | ServerMessage::Refused { id, .. }
            | ServerMessage::Failed { id, .. }
            | ServerMessage::WatchAnswer { id, .. } => Some(*id),
            _ => None,
        };
        if let Some(id) = id {
            // Whoever asked may have given up waiting.
            let late = match self.waiting.remove(&id) {
                Some(waiting) => waiting.send(message).is_err(),
                None => true,
            };
            if late {
                tracing::debug!(id, "an answer came too late");
            }
            return Ok(());
        }
        match message {
            ServerMessage::Event { event } => {
                self.state.send_modify(|state| state.apply_shown(&event));
                // Nobody listening is no error.
                self.events.send(event).ok();
                Ok(())
            }
            ServerMessage::State { state } => {
                self.state.send_replace(*state);
                Ok(())
            }
            ServerMessage::Rungs { schools } => {
                let mut told = self.rungs.lock().unwrap_or_else(PoisonError::into_inner);
                told.push((Instant::now(), schools));
                Ok(())
            }
            ServerMessage::Bye { reason, message } => {
                // It says so once.
                let _first = self.farewell.set((reason, message.clone()));
                Err(LessonError::Bye { reason, message })
            }
            _ => Ok(()),
        }
    }
}

async fn send(socket: &mut Socket, message: &ClientMessage) -> Result<(), LessonError> {
    let text = serde_json::to_string(message).map_err(|e| LessonError::Gibberish(e.to_string()))?;
    socket.send(Message::text(text)).await.map_err(|_| LessonError::Closed)
}

async fn receive(socket: &mut Socket) -> Result<ServerMessage, LessonError> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return serde_json::from_str(&text)
                    .map_err(|e| LessonError::Gibberish(format!("{e}: {text}")));
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(LessonError::Closed),
            Some(Ok(_)) => {}
        }
    }
}
