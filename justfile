# What a developer runs. Each recipe is one plain command that also works without `just`.

# The acceptance story, on the broker of AMQP_URL
demo:
    cargo run --release -- demo

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
