use super::*;

fn url(text: &str) -> BrokerUrl {
    text.parse().unwrap()
}

#[track_caller]
fn refused(text: &str, error: UrlError) {
    assert_eq!(text.parse::<BrokerUrl>().err(), Some(error), "{text}");
}

#[test]
fn everything_can_be_said() {
    let url = url("amqp://ada:s%40cret%2f@broker.example:5673/a%2fb?heartbeat=10");
    assert_eq!(url.user().as_str(), "ada");
    assert_eq!(url.address(), "broker.example:5673");
    let uri = url.endpoints()[0].uri();
    assert_eq!(uri.authority.userinfo.password, "s@cret/");
    assert_eq!(uri.vhost, "a/b");
    assert_eq!(uri.query.heartbeat, Some(10));
}

#[test]
fn the_library_reads_back_what_the_pool_is_told() {
    let uri = url("amqp://ada:s%40cret%2f%23@broker.example/%2f").endpoints()[0].uri();
    assert_eq!(uri.to_string().parse(), Ok(uri));
}

#[test]
fn a_broker_on_this_machine_is_tried_as_guest() {
    for text in
        ["amqp://localhost", "amqp://127.0.0.1:5692", "AMQP://LOCALHOST/%2f", "amqp://[::1]"]
    {
        let uri = url(text).endpoints()[0].uri();
        assert_eq!(uri.authority.userinfo.username, "guest");
        assert_eq!((uri.vhost.as_str(), uri.query.heartbeat), ("/", Some(4)));
    }
    refused("amqp://broker.example", UrlError::MissingUser);
    refused("amqp://:secret@localhost", UrlError::MissingUser);
    refused("amqp://ada@localhost", UrlError::MissingPassword);
}

#[test]
fn what_the_library_would_take_for_something_else_is_refused() {
    refused("amqp://localhost/", UrlError::EmptyVhost);
    refused("amqp://localhost/?heartbeat=4", UrlError::EmptyVhost);
    refused("http://a:b@localhost", UrlError::Scheme);
    refused("localhost:5672", UrlError::Scheme);
    refused("amqp:localhost", UrlError::Malformed);
    refused("amqp:///vhost", UrlError::Malformed);
    refused("amqp://a:b#c@localhost", UrlError::Malformed);
    refused("amqp://a:b@[fe80::1%25eth0]", UrlError::Malformed);
    refused("amqp://a:b@local%0ahost", UrlError::Malformed);
    refused("amqp://localhost:0", UrlError::PortZero);
    refused("amqp://a.b:c@localhost", UrlError::User);
    refused("amqp://a:%ff@localhost", UrlError::Encoding);
    refused("amqp://a:%zz@localhost", UrlError::Encoding);
    refused(&format!("amqp://localhost/{}", "v".repeat(256)), UrlError::LongVhost);
    for seconds in ["0", "601", "four", ""] {
        refused(&format!("amqp://localhost?heartbeat={seconds}"), UrlError::Heartbeat);
    }
    refused("amqp://localhost?frame_max=1", UrlError::Parameter("frame_max"));
}

#[test]
#[cfg(not(feature = "tls"))]
fn without_tls_nothing_goes_out_in_the_clear_instead() {
    refused("amqps://a:b@localhost", UrlError::Tls);
}

#[test]
#[cfg(feature = "tls")]
fn what_is_no_certificate_is_refused_at_once() {
    let url = |certificates| BrokerUrl::new("amqps://a:b@localhost", &certificates).err();
    for certificates in [
        Certificates::new().ca(""),
        Certificates::new().ca("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
        Certificates::new().identity("", ""),
    ] {
        assert!(matches!(url(certificates), Some(UrlError::Certificates(_))));
    }
}

#[test]
fn certificates_are_not_ignored() {
    let certificates = Certificates::new().ca("anything");
    let url = BrokerUrl::new("amqp://a:b@localhost", &certificates);
    assert_eq!(url.err(), Some(UrlError::NotTls));
    assert!(!format!("{:?}", Certificates::new().identity("", "secret")).contains("secret"));
}

#[test]
fn the_password_is_never_shown() {
    let url = url("amqp://ada:secret@localhost/jobs");
    assert_eq!(url.to_string(), "amqp://ada@localhost:5672/jobs");
    assert_eq!(format!("{url:?}"), url.to_string());
}

#[test]
fn what_is_not_understood_is_not_printed() {
    // Passwords with a slash, a question mark, and in lists of other forms.
    for text in [
        "amqp://ada:1/secret@broker.example/jobs",
        "amqp://ada:1?secret@broker.example/jobs",
        "amqp://ada:b@one;amqp://ada:secret@two",
        "amqp://ada:b@one amqp://ada:secret@two",
        "amqp://ada:b@one\namqp://ada:secret@two",
        "amqp://ada:b@one/amqp://ada:secret@two",
        "amqp://ada:b@one,two:5672",
        "secret:word@broker.example",
    ] {
        let error = text.parse::<BrokerUrl>().unwrap_err();
        let printed = format!("{error} {error:?}");
        assert!(!printed.contains("secret"), "{text}: {printed}");
    }
}

#[test]
fn several_are_tried_in_turn() {
    let list = url(" amqp://a:b,c@one/v , AMQP://a:d@[::1]:1/%2f,");
    assert_eq!(list.endpoints().len(), 2);
    assert_eq!(list.address(), "one:5672,[::1]:1");
    refused("amqp://a:b@one,amqp://c:d@two", UrlError::Users);
    refused("amqp://a:b@one,http://a:b@two", UrlError::Scheme);
    refused("amqp://a:b@one;amqp://a:b@two", UrlError::List);
    refused("amqp://a:b@one,two", UrlError::List);
}
