//! Bad input gives a typed error or a parked and counted message, and no process dies.

use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use simple_dist_client::{CallError, Fallback, Ran, Reason};
use simple_dist_demo::functions::{ECHO, FIB};
use simple_dist_e2e::{Cluster, remote};
use simple_dist_protocol::{Function, PureFunction};
use simple_dist_worker::Worker;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// `fib@1` with an argument of the wrong type.
const FIB_OF_TEXT: PureFunction<String, u64> = Function::pure("fib", 1, |_| 0);
/// `fib@1` with a value of the wrong type.
const FIB_TO_TEXT: PureFunction<u64, String> = Function::pure("fib", 1, |_| String::new());
/// A function that nobody serves.
const NOBODY: PureFunction<u64, u64> = Function::pure("nobody", 1, |n| n);
/// A function whose value MessagePack can carry for odd numbers only.
const ODD: PureFunction<u8, Option<Option<u8>>> =
    Function::pure("odd", 1, |n| Some((n % 2 == 1).then_some(n)));

fn signed() -> BasicProperties {
    let mut headers = FieldTable::default();
    let version = ShortString::try_new("sd-v").expect("it is short");
    headers.insert(version, AMQPValue::ShortShortUInt(1));
    let guest = ShortString::try_new("guest").expect("it is short");
    BasicProperties::default().with_user_id(guest).with_headers(headers)
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_types_are_typed_errors() {
    let cluster = Cluster::start().await;
    let client = cluster.client();

    let wrong =
        client.function(FIB_OF_TEXT).call("twenty".to_owned()).fallback(Fallback::Wait).await;
    assert!(matches!(wrong, Err(CallError::BadArguments { .. })), "{wrong:?}");
    let wrong = client.function(FIB_TO_TEXT).call(20).fallback(Fallback::Wait).await;
    assert!(matches!(wrong, Err(CallError::BadValue { .. })), "{wrong:?}");
    let large = serde_bytes::ByteBuf::from(vec![0; 9 * 1024 * 1024]);
    let large = client.function(ECHO).call(large).fallback(Fallback::Never).await;
    assert!(matches!(large, Err(CallError::TooLarge { .. })), "{:?}", large.is_ok());
    let nobody = client.function(NOBODY).call(1).fallback(Fallback::Never).await;
    assert!(matches!(nobody, Err(CallError::Unavailable { .. })), "{nobody:?}");

    let answer = client.function(FIB).call(20).fallback(Fallback::Wait).await;
    assert_eq!(answer.expect("nothing died"), 6765);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_too_large_to_send_is_computed_locally_or_is_a_clear_error() {
    let cluster = Cluster::start().await;
    let shutdown = CancellationToken::new();
    let worker = Worker::builder(&cluster.site.url).prefix(&cluster.site.prefix).serve_pure(ODD);
    let mut roles = JoinSet::from_iter([worker.run(shutdown.clone().cancelled_owned())]);
    let client = cluster.client();
    let odd = client.function(ODD);
    remote(&odd, 1).await;

    let answer = odd.call(2).detailed().await.expect("the function has a value");
    assert_eq!(answer.value, Some(None));
    assert_eq!(answer.ran, Ran::Local { reason: Reason::Unsendable });
    let refused = odd.call(2).fallback(Fallback::Wait).await;
    assert!(matches!(refused, Err(CallError::Unsendable { .. })), "{refused:?}");
    let by_json = client.dynamic_with(ODD.erased()).call(2.into()).await;
    assert!(matches!(by_json, Err(CallError::Unsendable { .. })), "{by_json:?}");

    shutdown.cancel();
    let ended = roles.join_next().await.expect("it was started").expect("it does not panic");
    ended.expect("the settings are usable");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_parked_and_nothing_dies() {
    let cluster = Cluster::start().await;
    let garbage: [&[u8]; 5] =
        [b"", b"\x00", b"\xdd\xff\xff\xff\xff", &[0x91; 5_000], b"\x81\xa6Submit\x01"];
    for body in garbage {
        for key in ["submit", "control"] {
            cluster.site.publish("submit", key, body, signed()).await.expect("it is taken");
        }
    }
    let parked = async {
        while cluster.site.depth("parked").await.expect("it can be looked at") < 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), parked).await.expect("all are parked");
    assert_eq!(cluster.site.take("parked").await.expect("it is there").as_deref(), Some(&b""[..]));

    let answer = cluster.client().function(FIB).call(20).fallback(Fallback::Wait).await;
    assert_eq!(answer.expect("nothing died"), 6765);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_without_a_user_id_are_dropped() {
    let cluster = Cluster::start().await;
    for key in ["submit", "control"] {
        let unsigned = BasicProperties::default();
        cluster.site.publish("submit", key, b"anything", unsigned).await.expect("it is taken");
    }
    let answer = cluster.client().function(FIB).call(20).fallback(Fallback::Wait).await;
    assert_eq!(answer.expect("nothing died"), 6765);
    assert_eq!(cluster.site.depth("parked").await.expect("it can be looked at"), 0);
    cluster.stop().await;
}
