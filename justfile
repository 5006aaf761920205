# What a developer runs. Each recipe is one plain command that also works without `just`.

# The acceptance story, on the broker of AMQP_URL
demo:
    cargo run -- demo

# All tests
test:
    cargo test

# What CI checks before it tests
lint:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings

# The documentation, as it is published
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Figures beside a bare round trip through the same broker
bench:
    cargo run --release -- bench

# Licences and sources of the dependencies
deny:
    cargo deny check

# Any bytes at the embedded broker, for five minutes: needs a nightly compiler and `cargo install cargo-fuzz`
fuzz:
    mkdir -p target/fuzz && cargo +nightly fuzz run --fuzz-dir broker/fuzz frames target/fuzz broker/fuzz/seeds -- -dict=broker/fuzz/frames.dict -max_total_time=300
