//! A broker for each test: its own embedded one, or an unused prefix on the broker of `AMQP_URL`.

use std::time::Duration;

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ExchangeDeclareOptions, ExchangeDeleteOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use simple_dist_broker::{Broker, Faults, Handle};

/// How long the broker may take for one operation.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A prefix at a broker; everything declared under it is deleted when this is dropped.
#[derive(Debug)]
pub struct BrokerSite {
    /// The broker's URL.
    pub url: String,
    /// The prefix of all names.
    pub prefix: String,
    /// The broker, if it is embedded.
    embedded: Option<Handle>,
}

impl BrokerSite {
    /// A new, empty site: on the broker of `AMQP_URL`, or on an embedded one.
    ///
    /// # Panics
    /// When the embedded broker cannot be started.
    pub async fn new() -> Self {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let prefix = format!("test-{}", &unique[..12]);
        if let Ok(url) = std::env::var("AMQP_URL") {
            return Self { url, prefix, embedded: None };
        }
        Self::embedded(prefix).await
    }

    /// A site on an embedded broker even if `AMQP_URL` is set, for faults that RabbitMQ cannot be
    /// made to have.
    ///
    /// # Panics
    /// When the embedded broker cannot be started.
    pub async fn with_faults() -> (Self, Faults) {
        let site = Self::embedded("faulty".to_owned()).await;
        let faults = site.embedded.as_ref().expect("it is embedded").faults();
        (site, faults)
    }

    async fn embedded(prefix: String) -> Self {
        let broker = Broker::builder().start().await.expect("loopback has a free port");
        Self { url: broker.url().to_owned(), prefix, embedded: Some(broker) }
    }

    /// Publishes raw bytes, as a hostile client would; true if the broker confirmed them.
    pub async fn publish(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), lapin::Error> {
        let (connection, channel) = self.channel().await?;
        channel
            .basic_publish(
                short(&format!("{}.{exchange}", self.prefix)),
                short(key),
                BasicPublishOptions::default(),
                body,
                properties,
            )
            .await?;
        connection.close(200, short("done")).await
    }

    /// The same with valid properties and the usual login, so that the message is read.
    pub async fn publish_signed(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
    ) -> Result<(), lapin::Error> {
        let mut headers = FieldTable::default();
        headers.insert(short("sd-v"), AMQPValue::LongInt(1));
        let signed = BasicProperties::default().with_user_id(short("guest")).with_headers(headers);
        self.publish(exchange, key, body, signed).await
    }

    /// The number of messages in a queue.
    pub async fn depth(&self, queue: &str) -> Result<u32, lapin::Error> {
        let (connection, channel) = self.channel().await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let name = short(&format!("{}.{queue}", self.prefix));
        let depth =
            channel.queue_declare(name, passive, FieldTable::default()).await?.message_count();
        connection.close(200, short("done")).await?;
        Ok(depth)
    }

    /// Gets one message from a queue.
    pub async fn take(&self, queue: &str) -> Result<Option<Vec<u8>>, lapin::Error> {
        let (connection, channel) = self.channel().await?;
        let name = short(&format!("{}.{queue}", self.prefix));
        let message = channel.basic_get(name, BasicGetOptions { no_ack: true }).await?;
        connection.close(200, short("done")).await?;
        Ok(message.map(|message| message.delivery.data))
    }

    /// Deletes an exchange, as an operator might by mistake.
    pub async fn delete_exchange(&self, exchange: &str) -> Result<(), lapin::Error> {
        let (connection, channel) = self.channel().await?;
        let name = short(&format!("{}.{exchange}", self.prefix));
        channel.exchange_delete(name, ExchangeDeleteOptions::default()).await?;
        connection.close(200, short("done")).await
    }

    /// Deletes a queue.
    pub async fn delete_queue(&self, queue: &str) -> Result<(), lapin::Error> {
        let (connection, channel) = self.channel().await?;
        let name = short(&format!("{}.{queue}", self.prefix));
        channel.queue_delete(name, QueueDeleteOptions::default()).await?;
        connection.close(200, short("done")).await
    }

    /// Deletes all bindings of an exchange: it exists but routes nothing.
    pub async fn unbind(&self, exchange: &str) -> Result<(), lapin::Error> {
        let fans_out = exchange == "presence";
        let kind = if fans_out { ExchangeKind::Fanout } else { ExchangeKind::Direct };
        let (connection, channel) = self.channel().await?;
        let name = short(&format!("{}.{exchange}", self.prefix));
        channel.exchange_delete(name.clone(), ExchangeDeleteOptions::default()).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        channel.exchange_declare(name, kind, durable, FieldTable::default()).await?;
        connection.close(200, short("done")).await
    }

    async fn channel(&self) -> Result<(Connection, Channel), lapin::Error> {
        let connecting = Connection::connect(&self.url, ConnectionProperties::default());
        let connection =
            tokio::time::timeout(TIMEOUT, connecting).await.expect("the broker answers")?;
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    }

    async fn delete_all(&self) -> Result<(), lapin::Error> {
        let (connection, channel) = self.channel().await?;
        for queue in ["submissions", "control", "answers", "parked"] {
            let name = short(&format!("{}.{queue}", self.prefix));
            // A queue that was never declared cannot be deleted; that is fine.
            let _absent = channel.queue_delete(name, QueueDeleteOptions::default()).await;
        }
        for exchange in ["submit", "results", "beats", "presence"] {
            let name = short(&format!("{}.{exchange}", self.prefix));
            let _absent = channel.exchange_delete(name, ExchangeDeleteOptions::default()).await;
        }
        connection.close(200, short("done")).await
    }
}

impl Drop for BrokerSite {
    fn drop(&mut self) {
        if self.embedded.is_some() {
            return;
        }
        let site = Self { url: self.url.clone(), prefix: self.prefix.clone(), embedded: None };
        // On its own thread, since blocking inside a test's runtime is not allowed.
        let cleaner = std::thread::spawn(move || {
            let site = std::mem::ManuallyDrop::new(site);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be built");
            // A broker that has stopped by now has nothing left to clean up.
            let _gone =
                runtime.block_on(async { tokio::time::timeout(TIMEOUT, site.delete_all()).await });
        });
        // A panic of the cleaner is ignored: the test has ended.
        let _ended = cleaner.join();
    }
}

fn short(text: &str) -> ShortString {
    ShortString::try_new(text).expect("names of tests are short")
}
