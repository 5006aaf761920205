//! Functions called by their names, with JSON.

use simple_dist::json::{Value, json};
use simple_dist::testing::Cluster;
use simple_dist::{Bytes, CallError, Fallback, Function};

#[tokio::test]
async fn who_knows_no_types_calls_by_json() {
    const SUM: Function<(u64, u64), u64> = Function::new("sum", 1);
    const REVERSED: Function<Bytes, Bytes> = Function::new("reversed", 1);
    const HALF: Function<u64, u64, String> = Function::new("half", 1);
    let cluster = Cluster::start()
        .serve(SUM, |(a, b)| a + b)
        .serve(REVERSED, |bytes| bytes.iter().rev().copied().collect())
        .serve(HALF, |n| if n % 2 == 0 { Ok(n / 2) } else { Err(format!("{n} is odd")) })
        .await;
    let call = async |function, arguments: &[Value]| {
        let function = cluster.client().dynamic(function).expect("it is a name");
        function.call_args(arguments).fallback(Fallback::Wait).await
    };
    let most = json!(u64::MAX);
    assert_eq!(call("sum@1", &[json!(u64::MAX - 1), json!(1)]).await, Ok(most));
    let bytes = |base64| json!({ "$bytes": base64 });
    assert_eq!(call("reversed", &[bytes("AQID")]).await, Ok(bytes("AwIB")));
    let Err(CallError::Function(failed)) = call("half", &[json!(7)]).await else { panic!("7 / 2") };
    assert_eq!((failed.text.as_str(), failed.error), ("7 is odd", json!("7 is odd")));
    let wrong = call("half", &[json!("seven")]).await;
    assert!(matches!(wrong, Err(CallError::BadArguments { .. })), "{wrong:?}");
    cluster.stop().await;
}
