//! Listening to an MQTT broker: one node holds the connection, for the topics of all actions.
//!
//! Owns the connection, its lease, its subscriptions and acknowledgements. The client id is fixed
//! and the session is kept by the broker, so that messages wait there while no node listens. A
//! message is acknowledged when all that it starts is durable, one after the other in their order;
//! one that was not is sent again. So each message is handled at least once.

use std::collections::{BTreeSet, VecDeque};
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rumqttc::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions, Packet, Publish, QoS,
    RetainForwardRule, SubAck, SubscribeFilterInput, SubscribeProperties, SubscribeReasonCode,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Runner;
use super::broker::Link;
use super::message::{Message, number};
use crate::action::Trigger;
use crate::clock::Timestamp;
use crate::fault::ErrorCode;
use crate::id::Id;
use crate::store::{ActionFault, Error, StoredAction};

/// The name of the connection's lease.
const LEASE_NAME: &str = "mqtt";

/// For how long a node has the connection before it has to say so again.
const LEASE: Duration = Duration::from_secs(15);

/// How long before its end the lease is renewed, and how long before its end it is given up.
const RENEW_BEFORE: Duration = Duration::from_secs(10);
const MARGIN: Duration = Duration::from_secs(4);

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often is looked whether actions have changed.
const POLL: Duration = Duration::from_secs(1);

/// How long the message under way gets, and the farewell to the broker, when this node stops.
const LAST: Duration = Duration::from_secs(2);

/// The first and the longest wait before the broker is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The most filters that are given up in one request.
const FILTERS: usize = 100;

/// What there is to listen to; none while this node has not the lease.
type Listening = Option<Arc<Vec<StoredAction>>>;

/// Receives messages until told to stop.
pub(super) async fn receive(
    runner: Arc<Runner>,
    options: MqttOptions,
    stopped: watch::Receiver<bool>,
) {
    let (tell, listening) = watch::channel(None);
    tokio::join!(own(&runner, tell, stopped), converse(&runner, &options, listening));
    if let Err(error) = runner.follows(LEASE_NAME).await {
        tracing::debug!(%error, "the lease of the MQTT connection ends by itself");
    }
}

/// Holds the lease, and tells what there is to listen to while it does.
async fn own(
    runner: &Arc<Runner>,
    tell: watch::Sender<Listening>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut until = Instant::now();
    let mut editions = None;
    loop {
        let asked = Instant::now();
        if until.saturating_duration_since(asked) < RENEW_BEFORE {
            match timeout(PATIENCE, runner.leads(LEASE_NAME, LEASE)).await {
                Ok(Ok(true)) => until = asked + LEASE,
                Ok(Ok(false)) => until = asked,
                Ok(Err(error)) => tracing::debug!(%error, "the MQTT lease is not renewed"),
                Err(_) => tracing::debug!("the MQTT lease is not renewed in time"),
            }
        }
        if until.saturating_duration_since(Instant::now()) < MARGIN {
            editions = None;
            tell.send_replace(None);
        } else {
            match timeout(PATIENCE, changed(runner, &mut editions)).await {
                Ok(Ok(Some(actions))) => _ = tell.send_replace(Some(Arc::new(actions))),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "MQTT actions are not looked up"),
                Err(_) => tracing::debug!("MQTT actions are not looked up in time"),
            }
        }
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            () = sleep(POLL) => {}
        }
    }
}

type Editions = Vec<(Id, Timestamp)>;

/// The actions that listen to topics, where they are others than at the last look.
async fn changed(
    runner: &Runner,
    seen: &mut Option<Editions>,
) -> Result<Option<Vec<StoredAction>>, Error> {
    let present = runner.host().topic_editions().await?;
    if seen.as_ref() == Some(&present) {
        return Ok(None);
    }
    let actions = runner.host().topic_actions().await?;
    *seen = Some(present);
    Ok(Some(actions))
}

/// Connects whenever this node has something to listen to.
async fn converse(
    runner: &Arc<Runner>,
    options: &MqttOptions,
    mut listening: watch::Receiver<Listening>,
) {
    let some = |listening: &Listening| listening.as_ref().is_some_and(|some| !some.is_empty());
    loop {
        runner.set_link(Link::Standby);
        if listening.wait_for(some).await.is_err() {
            return;
        }
        let (client, events) = AsyncClient::builder(options.clone()).unbounded().build();
        let session = Session {
            runner,
            client,
            listening: listening.clone(),
            subscribed: BTreeSet::new(),
            connected: None,
            waiting: VecDeque::new(),
            numbered: true,
            answers: JoinSet::new(),
        };
        session.run(events).await;
    }
}

/// One message on its way into the store.
struct UnderWay {
    /// Ends when all that it starts is durable.
    firing: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// What is acknowledged then; none where the connection that brought it is gone.
    publish: Option<Publish>,
}

/// One client of the broker, over all its connections.
struct Session<'r> {
    runner: &'r Arc<Runner>,
    client: AsyncClient,
    listening: watch::Receiver<Listening>,
    /// The filters that this client asked for.
    subscribed: BTreeSet<String>,
    /// Whether there is a connection; none before the first attempt.
    connected: Option<bool>,
    /// Messages of this connection that have not had their turn.
    waiting: VecDeque<Publish>,
    /// Whether the broker tells for which subscription it sends a message.
    numbered: bool,
    /// Answers to subscriptions that are waited for.
    answers: JoinSet<()>,
}

impl Session<'_> {
    /// Receives messages for as long as this node has the lease.
    async fn run(mut self, mut events: EventLoop) {
        let (mut current, mut wait) = (None, Duration::ZERO);
        loop {
            let event = {
                // Goes on from one message to the next: it may not be dropped half way.
                let polled = async {
                    sleep(wait).await;
                    events.poll().await
                };
                tokio::pin!(polled);
                loop {
                    self.next(&mut current);
                    tokio::select! {
                        event = &mut polled => break event,
                        () = fired(&mut current) => self.acknowledge(current.take()),
                        changed = self.listening.changed() => {
                            let goes_on = changed.is_ok() && self.listening.borrow().is_some();
                            if !goes_on {
                                break Err(ConnectionError::RequestsDone);
                            }
                            self.subscribe();
                        }
                    }
                }
            };
            match event {
                Ok(event) => {
                    wait = Duration::ZERO;
                    self.handle(event);
                }
                Err(ConnectionError::RequestsDone) => return self.leave(current, events).await,
                Err(error) => {
                    wait = (wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
                    self.lost(&error);
                    // The broker sends it again, and then it is acknowledged.
                    self.waiting.clear();
                    if let Some(UnderWay { publish, .. }) = &mut current {
                        *publish = None;
                    }
                }
            }
        }
    }

    /// Begins with the message whose turn it is, unless one is under way.
    fn next(&mut self, current: &mut Option<UnderWay>) {
        if current.is_some() {
            return;
        }
        let Some(actions) = self.listening.borrow().clone() else { return };
        let Some(publish) = self.waiting.pop_front() else { return };
        let properties = publish.properties.as_ref();
        let message = Message {
            // The client has checked that it is UTF-8.
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.to_vec(),
            properties: properties.map_or_else(Vec::new, |p| p.user_properties.clone()),
            filters: properties.map_or_else(Vec::new, |p| p.subscription_identifiers.clone()),
        };
        let runner = Arc::clone(self.runner);
        let firing = Box::pin(async move { message.fire(&runner, &actions).await });
        *current = Some(UnderWay { firing, publish: Some(publish) });
    }

    fn acknowledge(&self, done: Option<UnderWay>) {
        let Some(publish) = done.and_then(|done| done.publish) else { return };
        if let Err(error) = self.client.try_ack(&publish) {
            // It comes again with the next connection.
            tracing::warn!(%error, "a message could not be acknowledged");
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Incoming(Packet::ConnAck(answer)) => {
                if self.connected != Some(true) {
                    let resumed = answer.session_present;
                    tracing::info!(resumed, "connected to the MQTT broker");
                }
                self.connected = Some(true);
                let told = answer.properties.and_then(|p| p.subscription_identifiers_available);
                self.numbered = told != Some(0);
                self.runner.set_link(Link::Connected);
                let before = std::mem::take(&mut self.subscribed);
                self.unsubscribe(before.difference(&self.wanted()).cloned().collect());
                self.subscribe();
            }
            Event::Incoming(Packet::Publish(publish)) => self.waiting.push_back(publish),
            _ => {}
        }
    }

    fn lost(&mut self, error: &ConnectionError) {
        if self.connected != Some(false) {
            tracing::warn!(%error, "no connection to the MQTT broker; trying again");
        }
        self.connected = Some(false);
        self.runner.set_link(Link::Disconnected);
    }

    /// The filters of all actions.
    fn wanted(&self) -> BTreeSet<String> {
        let listening = self.listening.borrow();
        let actions = listening.iter().flat_map(|actions| actions.iter());
        let entries = actions.flat_map(|stored| match &stored.action.trigger {
            Trigger::MqttTopic(entries) => entries.as_slice(),
            _ => &[],
        });
        entries.map(|entry| entry.topic.clone()).collect()
    }

    /// Brings the subscriptions in line with the actions.
    fn subscribe(&mut self) {
        while self.answers.try_join_next().is_some() {}
        if self.connected != Some(true) {
            return;
        }
        let wanted = self.wanted();
        let gone = self.subscribed.difference(&wanted).cloned().collect::<Vec<_>>();
        self.unsubscribe(gone);
        self.subscribed.retain(|filter| wanted.contains(filter));
        let new = wanted.difference(&self.subscribed).cloned().collect::<Vec<_>>();
        for filter in new {
            let asked = SubscribeFilterInput::new(filter.clone(), QoS::AtLeastOnce);
            // What is retained comes once, and not with each connection.
            let asked = asked.retain_forward_rule(RetainForwardRule::OnNewSubscribe);
            let properties = SubscribeProperties {
                id: self.numbered.then(|| number(&filter)),
                user_properties: Vec::new(),
            };
            match self.client.try_subscribe_many_with_properties_tracked([asked], properties) {
                Ok(answer) => {
                    self.subscribed.insert(filter.clone());
                    let runner = Arc::clone(self.runner);
                    let actions = self.listening.borrow().clone();
                    self.answers.spawn(async move {
                        // Without an answer the connection is gone, and the next one asks anew.
                        if let Ok(answer) = answer.wait_async().await {
                            refused(&runner, &actions.unwrap_or_default(), &filter, &answer).await;
                        }
                    });
                }
                Err(error) => tracing::warn!(%error, "MQTT topics could not be asked for"),
            }
        }
    }

    fn unsubscribe(&self, filters: Vec<String>) {
        for filters in filters.chunks(FILTERS) {
            let asked: Result<(), ClientError> = self.client.try_unsubscribe_many(filters.to_vec());
            if let Err(error) = asked {
                tracing::warn!(%error, "MQTT topics could not be given up");
            }
        }
    }

    /// Lets the message under way end, and takes leave of the broker, which keeps the session.
    async fn leave(self, mut current: Option<UnderWay>, mut events: EventLoop) {
        if timeout(LAST, fired_if_any(&mut current)).await.is_ok() {
            self.acknowledge(current.take());
        }
        if self.connected == Some(true) && self.client.try_disconnect().is_ok() {
            let farewell = async { while events.poll().await.is_ok() {} };
            // The broker finds out by itself where it takes longer.
            let _ = timeout(LAST, farewell).await;
        }
    }
}

/// Ends when the message under way, if there is one, has been handled.
async fn fired(current: &mut Option<UnderWay>) {
    match current {
        Some(under_way) => under_way.firing.as_mut().await,
        None => pending().await,
    }
}

/// As [`fired`], but ends at once where there is none.
async fn fired_if_any(current: &mut Option<UnderWay>) {
    if current.is_some() {
        fired(current).await;
    }
}

/// Writes down which actions hear nothing because the broker refuses one of their filters.
async fn refused(runner: &Runner, actions: &[StoredAction], filter: &str, answer: &SubAck) {
    for code in &answer.return_codes {
        if matches!(code, SubscribeReasonCode::Success(_)) {
            continue;
        }
        tracing::warn!(filter, ?code, "the MQTT broker refuses a topic filter");
        let listens = |stored: &&StoredAction| match &stored.action.trigger {
            Trigger::MqttTopic(entries) => entries.iter().any(|entry| entry.topic == filter),
            _ => false,
        };
        for stored in actions.iter().filter(listens) {
            let code_text = ErrorCode::Denied.as_str().to_owned();
            let message = format!("the broker refuses the topic filter {filter:?}: {code:?}");
            let at = Timestamp::now().as_millis();
            let fault = ActionFault { code: code_text, message, at };
            let tenant = runner.tenant(stored.profile);
            if let Err(error) = tenant.fault_action(stored.action.id, fault).await {
                tracing::warn!(%error, "the fault of an action could not be written");
            }
        }
    }
}

impl Runner {
    /// How this node stands to the MQTT broker; none where no broker is set, or nothing listens to
    /// it in this process.
    pub fn broker_link(&self) -> Option<Link> {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_link(&self, link: Link) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }
}
