//! An identity provider: its keys, and the server that publishes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use keywright_server::jwt::JwksUrl;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::token::Token;

/// A private key with the name that its public half is published under.
#[derive(Clone)]
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) algorithm: Algorithm,
    key: EncodingKey,
}

impl SigningKey {
    pub(crate) fn rsa(kid: &str) -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der.as_ref())
        );
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        Self::new(kid, Algorithm::RS256, key)
    }

    pub(crate) fn ec(kid: &str) -> Self {
        let der =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let key = EncodingKey::from_ec_der(der.unwrap().as_ref());
        Self::new(kid, Algorithm::ES256, key)
    }

    pub(crate) fn ed(kid: &str) -> Self {
        let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
        Self::new(
            kid,
            Algorithm::EdDSA,
            EncodingKey::from_ed_der(der.as_ref()),
        )
    }

    fn new(kid: &str, algorithm: Algorithm, key: EncodingKey) -> Self {
        let kid = kid.to_owned();
        Self {
            kid,
            algorithm,
            key,
        }
    }

    /// A token of this key for a user, naming the key.
    pub(crate) fn token(&self, sub: &str) -> String {
        self.sign(Token::of(sub).header(|header| header.kid = Some(self.kid.clone())))
    }

    /// Any token, signed by this key.
    pub(crate) fn sign(&self, token: Token) -> String {
        token
            .header(|header| header.alg = self.algorithm)
            .signed_by(&self.key)
    }

    /// The public half as it is published.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }
}

/// A server that publishes public keys.
pub(crate) struct Provider {
    shared: Arc<Shared>,
    url: String,
}

struct Shared {
    keys: Mutex<Vec<Value>>,
    down: AtomicBool,
    fetches: AtomicUsize,
    gate: Semaphore,
    /// Documents to answer instead of the keys, once each.
    instead: Mutex<VecDeque<String>>,
}

impl Provider {
    pub(crate) async fn publishing(keys: &[&SigningKey]) -> Self {
        let shared = Arc::new(Shared {
            keys: Mutex::new(keys.iter().map(|key| key.public()).collect()),
            down: AtomicBool::new(false),
            fetches: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            instead: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, shared.clone()));
        Self { shared, url }
    }

    pub(crate) fn url(&self) -> JwksUrl {
        JwksUrl::parse(&self.url).unwrap()
    }

    /// The keys are these from now on.
    pub(crate) fn publish(&self, keys: &[Value]) {
        *self.shared.keys.lock().unwrap() = keys.to_vec();
    }

    /// The next fetch gets this text.
    pub(crate) fn answer_once(&self, text: &str) {
        self.shared
            .instead
            .lock()
            .unwrap()
            .push_back(text.to_owned());
    }

    /// Whether fetches fail.
    pub(crate) fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// Lets fetches wait until [`Self::release`].
    pub(crate) fn hold(&self) {
        self.shared.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release(&self) {
        self.shared.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    /// How often somebody fetched, successfully or not.
    pub(crate) fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else {
                    return;
                };
                request.push(byte);
            }
            shared.fetches.fetch_add(1, Ordering::SeqCst);
            let passed = shared.gate.acquire().await;
            drop(passed);
            let status = if shared.down.load(Ordering::SeqCst) {
                "503 Service Unavailable"
            } else {
                "200 OK"
            };
            let keys = json!({"keys": *shared.keys.lock().unwrap()}).to_string();
            let body = shared.instead.lock().unwrap().pop_front().unwrap_or(keys);
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}
