//! The driver's TLS with one thing more: whether a connection got as far as being encrypted. The driver
//! says "it wants no TLS" and "it wants a password" in the same way, as words.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::generator::Boxed;

type Inner = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
pub type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// For one connection.
#[derive(Clone)]
pub struct Encryption {
    inner: MakeRustlsConnect,
    done: Arc<AtomicBool>,
}

pub struct Handshake {
    inner: Inner,
    done: Arc<AtomicBool>,
}

impl Encryption {
    pub fn new(inner: MakeRustlsConnect) -> Self {
        Self {
            inner,
            done: Arc::default(),
        }
    }

    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }
}

impl MakeTlsConnect<Socket> for Encryption {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Self::Error> {
        // Of several hosts the last one's error is told.
        self.done.store(false, Ordering::Relaxed);
        Ok(Handshake {
            inner: MakeTlsConnect::<Socket>::make_tls_connect(&mut self.inner, host)?,
            done: Arc::clone(&self.done),
        })
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Boxed<'static, io::Result<Stream>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = self.inner.connect(socket).await?;
            self.done.store(true, Ordering::Relaxed);
            Ok(stream)
        })
    }
}
