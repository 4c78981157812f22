//! What every request can reach.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::FutureExt;
use ipnet::IpNet;
use keywright_core::ambient::{Clock, Entropy};
use keywright_core::identifier::{KeyspaceName, time_ordered_id};
use keywright_core::key_text::TagKeys;
use keywright_core::keyspace::Keyspace;
use keywright_engine::coherence::{Membership, NodeOptions};
use keywright_engine::{Lease, Verifier};
use keywright_store::Store;
use keywright_store::cluster::{LeaseTerms, NodeCard, NodeId};

use crate::console::Census;
use crate::failures::FailureTable;
use crate::jwt::JwtVerifier;
use crate::oidc::Provider;
use crate::propagation::Propagating;
use crate::public_url::PublicUrl;
use crate::request_id::RequestIds;
use crate::settings::{NodeSettings, Settings};
use crate::shared_reads::SharedReads;
use crate::sparing::Sparing;
use crate::telemetry::MetricsText;

/// What the server takes from its surroundings.
#[derive(Clone)]
pub struct Surroundings {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where secrets come from.
    pub entropy: Arc<dyn Entropy>,
}

/// What every request can reach. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    /// The keyspaces that keys are made in, with what their keys are minted with.
    pub(crate) mints: SharedReads<KeyspaceName, Option<Mint>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) request_ids: RequestIds,
    pub(crate) verifier: Verifier,
    /// What this process says of itself.
    pub(crate) card: NodeCard,
    /// In a cluster.
    pub(crate) membership: Option<Membership>,
    pub(crate) jwt: JwtVerifier,
    /// Who says who users of the console are.
    pub(crate) provider: Option<Provider>,
    pub(crate) failures: FailureTable,
    pub(crate) census: Census,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) metrics: MetricsText,
    pub(crate) request_timeout: Duration,
    pub(crate) body_timeout: Duration,
    /// Set once the server was told to stop: it is not ready any more.
    pub(crate) stopping: AtomicBool,
    /// Requests that were answered 503, in the log.
    pub(crate) refusals_logged: Sparing,
}

impl AppState {
    pub(crate) fn new(surroundings: Surroundings, settings: &Settings) -> Self {
        let Surroundings {
            store,
            clock,
            entropy,
        } = surroundings;
        // First of all: what is counted before there is somebody who counts is lost, for as long as the process lives.
        let metrics = MetricsText::install();
        // Where others can change the database as well, a lease has to be asked for.
        let lease = if store.is_exclusive() {
            Lease::endless()
        } else {
            Lease::none()
        };
        let verifier = Verifier::new(store.clone(), clock.clone(), lease, settings.verifier);
        let card = node_card(settings.node.as_ref(), &*clock, &*entropy);
        let membership = settings.node.as_ref().and_then(|node| {
            let options = node_options(node, card.clone());
            Membership::begin(&store, &verifier, clock.clone(), options)
        });
        let changes = membership.as_ref().map(Membership::changes);
        store.settle_with(Arc::new(Propagating(changes)));
        Self(Arc::new(Inner {
            verifier,
            card,
            membership,
            jwt: JwtVerifier::new(&settings.jwt, settings.fetch_timeout, clock.clone()),
            provider: settings
                .oidc
                .as_ref()
                .map(|oidc| Provider::new(oidc, settings.fetch_timeout, clock.clone())),
            failures: FailureTable::default(),
            census: Census::default(),
            trusted_proxies: settings.trusted_proxies.clone(),
            public_url: settings.public_url.clone(),
            metrics,
            request_ids: RequestIds::new(entropy.clone()),
            request_timeout: settings.request_timeout,
            body_timeout: settings.body_timeout,
            stopping: AtomicBool::new(false),
            refusals_logged: Sparing::default(),
            mints: mints(store.clone()),
            store,
            clock,
            entropy,
        }))
    }
}

/// The margin of a lease: two clocks that begin together may be so far apart at its end, as a part of it.
const MARGIN: u32 = 20;

fn node_card(node: Option<&NodeSettings>, clock: &dyn Clock, entropy: &dyn Entropy) -> NodeCard {
    let said = |of: fn(&NodeSettings) -> &String| node.map(of).cloned().unwrap_or_default();
    NodeCard {
        // infallible: the server could mint no key either
        id: NodeId(time_ordered_id(clock, entropy).expect("random bytes")),
        name: said(|node| &node.name),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        address: said(|node| &node.address),
        since: clock.now(),
    }
}

fn node_options(node: &NodeSettings, card: NodeCard) -> NodeOptions {
    NodeOptions {
        card,
        wanted: node.lease.map(|lease| LeaseTerms {
            lease,
            margin: lease / MARGIN,
        }),
        notices: node.notices,
    }
}

/// A keyspace, and the tag keys that its keys are minted with.
pub(crate) type Mint = (Arc<Keyspace>, Arc<TagKeys>);

fn mints(store: Arc<dyn Store>) -> SharedReads<KeyspaceName, Option<Mint>> {
    SharedReads::by(move |name: KeyspaceName| {
        let store = store.clone();
        async move {
            let found = store.find_keyspace(&name).await?;
            Ok(found.map(|(keyspace, tag_keys)| (Arc::new(keyspace), Arc::new(tag_keys))))
        }
        .boxed()
    })
}

impl std::ops::Deref for AppState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
