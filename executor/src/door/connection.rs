//! One connection, and how it ends: politely where nothing is under way, else at once, with what the server
//! still does for it cancelled. Else a statement that waits for a lock would go on waiting there, and each
//! repetition would add another one.

use std::future::poll_fn;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DoorError;
use super::encryption::{Encryption, Stream};
use crate::settings::Target;

/// For asking the server to leave off.
const CANCEL_BOUND: Duration = Duration::from_secs(5);

type Driver = tokio_postgres::Connection<Socket, Stream>;

pub struct Connection {
    client: Client,
    tls: MakeRustlsConnect,
    task: AbortHandle,
    /// A statement is under way.
    busy: bool,
}

impl Connection {
    pub async fn open(target: &Target, tls: MakeRustlsConnect) -> Result<Self, DoorError> {
        Self::hearing(target, tls, None).await
    }

    /// The payloads of notifications go to `heard`.
    pub async fn hearing(
        target: &Target,
        tls: MakeRustlsConnect,
        heard: Option<UnboundedSender<String>>,
    ) -> Result<Self, DoorError> {
        let encryption = Encryption::new(tls.clone());
        let connected = target.config.connect(encryption.clone()).await;
        let (client, driver) =
            connected.map_err(|error| DoorError::from_connecting(&error, target, encryption.is_done()))?;
        let task = tokio::spawn(drive(driver, heard)).abort_handle();
        Ok(Self {
            client,
            tls,
            task,
            busy: false,
        })
    }

    /// For a statement; [`Connection::at_rest`] when it is answered.
    pub fn client(&mut self) -> &Client {
        self.busy = true;
        &self.client
    }

    pub fn at_rest(&mut self) {
        self.busy = false;
    }

    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

async fn drive(mut driver: Driver, heard: Option<UnboundedSender<String>>) {
    loop {
        match poll_fn(|context| driver.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => {
                if let Some(heard) = &heard
                    && heard.send(notification.payload().to_owned()).is_err()
                {
                    return;
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let error = DoorError::from_driver(&error);
                return tracing::debug!(%error, "a database connection ended");
            }
            None => return,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.busy {
            return;
        }
        self.task.abort();
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (token, tls) = (self.client.cancel_token(), self.tls.clone());
        runtime.spawn(async move {
            if let Ok(Err(error)) = timeout(CANCEL_BOUND, token.cancel_query(tls)).await {
                tracing::debug!(%error, "a statement could not be cancelled");
            }
        });
    }
}
