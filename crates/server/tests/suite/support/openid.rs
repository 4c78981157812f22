//! An OpenID provider that says what a test has it say, and its clients' requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use keywright_server::{Issuer, OidcSettings, PublicUrl, Settings};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::provider::SigningKey;

/// What the client of the tests is called, and its secret.
pub(crate) const CLIENT: &str = "console";
pub(crate) const CLIENT_SECRET: &str = "the client's secret, which is long enough for an HMAC";

/// An OpenID provider.
pub(crate) struct OpenId {
    shared: Arc<Shared>,
    pub(crate) issuer: String,
}

struct Shared {
    issuer: String,
    says: Mutex<Says>,
    down: AtomicBool,
    /// Codes wait here while a test holds them.
    gate: Semaphore,
    /// Counts those who came to it.
    came: AtomicUsize,
    discoveries: AtomicUsize,
    /// The form that was sent to the token endpoint last.
    exchanged: Mutex<BTreeMap<String, String>>,
}

/// What it answers.
struct Says {
    keys: Vec<Value>,
    /// The answer of the token endpoint, with its status.
    tokens: (u16, Value),
    /// Of whoever asks who they are; nobody can where there is none.
    userinfo: Value,
    /// A whole answer to whatever is asked.
    instead: Option<String>,
}

impl OpenId {
    pub(crate) async fn publishing(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            issuer: issuer.clone(),
            says: Mutex::new(Says {
                keys: keys.iter().map(|key| key.public()).collect(),
                tokens: (400, json!({"error": "invalid_grant"})),
                userinfo: Value::Null,
                instead: None,
            }),
            down: AtomicBool::new(false),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            came: AtomicUsize::new(0),
            discoveries: AtomicUsize::new(0),
            exchanged: Mutex::default(),
        });
        tokio::spawn(serve(listener, shared.clone()));
        Self { shared, issuer }
    }

    /// How the server of a test finds it; members of `operators` are.
    pub(crate) fn settings(&self, public_url: &PublicUrl) -> OidcSettings {
        OidcSettings {
            issuer: Issuer::parse(&self.issuer).unwrap(),
            client_id: CLIENT.to_owned(),
            client_secret: Some(SecretString::from(CLIENT_SECRET)),
            scopes: vec!["profile".to_owned()],
            groups_claim: "groups".to_owned(),
            admin_group: Some("operators".to_owned()),
            public_url: public_url.clone(),
        }
    }

    /// Whoever comes with a code gets this ID token, once or more often.
    pub(crate) fn gives(&self, id_token: &str) {
        let tokens = json!({
            "access_token": "access", "token_type": "Bearer", "expires_in": 60, "id_token": id_token,
        });
        self.answers(200, tokens);
    }

    /// The answer of the token endpoint.
    pub(crate) fn answers(&self, status: u16, tokens: Value) {
        self.shared.says.lock().unwrap().tokens = (status, tokens);
    }

    pub(crate) fn says_of_the_user(&self, userinfo: Value) {
        self.shared.says.lock().unwrap().userinfo = userinfo;
    }

    /// The keys are these from now on.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        self.shared.says.lock().unwrap().keys = keys.iter().map(|key| key.public()).collect();
    }

    /// Whatever is asked is answered by this, byte for byte.
    pub(crate) fn answers_instead(&self, answer: Option<String>) {
        self.shared.says.lock().unwrap().instead = answer;
    }

    /// Whether it hangs up on everybody.
    pub(crate) fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// Answers no code until [`Self::release`].
    pub(crate) fn hold(&self) {
        self.shared.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release(&self) {
        self.shared.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    /// How many codes were brought.
    pub(crate) fn codes(&self) -> usize {
        self.shared.came.load(Ordering::SeqCst)
    }

    /// How often somebody asked what it is.
    pub(crate) fn discoveries(&self) -> usize {
        self.shared.discoveries.load(Ordering::SeqCst)
    }

    /// A field of the form that was sent to the token endpoint last; `authorization` for the header.
    pub(crate) fn exchanged(&self, field: &str) -> String {
        let exchanged = self.shared.exchanged.lock().unwrap();
        exchanged.get(field).cloned().unwrap_or_default()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move { answer(stream, &shared).await });
    }
}

async fn answer(stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => value.trim().clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    if path.starts_with("/.well-known") {
        shared.discoveries.fetch_add(1, Ordering::SeqCst);
    }
    if shared.down.load(Ordering::SeqCst) {
        return None;
    }
    if path.starts_with("/token") {
        shared.came.fetch_add(1, Ordering::SeqCst);
        drop(shared.gate.acquire().await.ok()?);
    }
    let answer = shared.answer(&path, authorization, &body);
    stream.write_all(answer.as_bytes()).await.ok()
}

impl Shared {
    fn answer(&self, path: &str, authorization: String, body: &[u8]) -> String {
        let says = self.says.lock().unwrap();
        if let Some(instead) = &says.instead {
            return instead.clone();
        }
        let (status, body) = match path {
            "/.well-known/openid-configuration" => {
                (200, self.configuration(!says.userinfo.is_null()))
            }
            "/keys" => (200, json!({"keys": says.keys})),
            "/userinfo" => (200, says.userinfo.clone()),
            "/token" => {
                let mut form: BTreeMap<String, String> =
                    serde_urlencoded::from_bytes(body).expect("a form");
                form.insert("authorization".to_owned(), authorization);
                *self.exchanged.lock().unwrap() = form;
                says.tokens.clone()
            }
            _ => (404, json!({})),
        };
        let body = body.to_string();
        format!(
            "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn configuration(&self, has_userinfo: bool) -> Value {
        let issuer = &self.issuer;
        let mut configuration = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        });
        if has_userinfo {
            configuration["userinfo_endpoint"] = json!(format!("{issuer}/userinfo"));
        }
        configuration
    }
}

/// A server whose users may be signed in by a provider, though none is ever asked.
pub(crate) fn with_provider(settings: &mut Settings) {
    settings.oidc = Some(OidcSettings {
        issuer: Issuer::parse("https://id.example").unwrap(),
        client_id: CLIENT.to_owned(),
        client_secret: None,
        scopes: Vec::new(),
        groups_claim: "groups".to_owned(),
        admin_group: Some("operators".to_owned()),
        public_url: PublicUrl::parse("http://keys.test").unwrap(),
    });
}
