//! A refusal by the broker: an AMQP reply code, a text, and the method it is about.

use amq_protocol::types::ShortString;

/// The reply codes in use. Soft ones close the channel, hard ones the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    AccessRefused,
    NotFound,
    ResourceLocked,
    PreconditionFailed,
    ConnectionForced,
    FrameError,
    SyntaxError,
    CommandInvalid,
    ChannelError,
    UnexpectedFrame,
    ResourceError,
    NotAllowed,
    NotImplemented,
}

impl Code {
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::AccessRefused => 403,
            Self::NotFound => 404,
            Self::ResourceLocked => 405,
            Self::PreconditionFailed => 406,
            Self::ConnectionForced => 320,
            Self::FrameError => 501,
            Self::SyntaxError => 502,
            Self::CommandInvalid => 503,
            Self::ChannelError => 504,
            Self::UnexpectedFrame => 505,
            Self::ResourceError => 506,
            Self::NotAllowed => 530,
            Self::NotImplemented => 540,
        }
    }

    /// Whether the whole connection has to go.
    pub(crate) fn is_hard(self) -> bool {
        !matches!(
            self,
            Self::AccessRefused | Self::NotFound | Self::ResourceLocked | Self::PreconditionFailed
        )
    }

    fn name(self) -> &'static str {
        match self {
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
        }
    }
}

/// A refused method, frame or connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) class_id: u16,
    pub(crate) method_id: u16,
}

impl Refusal {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), class_id: 0, method_id: 0 }
    }

    /// Names the method that was refused, unless a more exact place is already named.
    pub(crate) fn about(mut self, class_id: u16, method_id: u16) -> Self {
        if self.class_id == 0 {
            (self.class_id, self.method_id) = (class_id, method_id);
        }
        self
    }

    /// The text as it travels: the code's name first, as clients of RabbitMQ know it.
    pub(crate) fn reply_text(&self) -> ShortString {
        short(format!("{} - {}", self.code.name(), self.text))
    }
}

/// A short string of at most 255 bytes; what is longer is cut at a character.
pub(crate) fn short(text: impl Into<String>) -> ShortString {
    let mut text = text.into();
    if text.len() > 255 {
        text.truncate(text.floor_char_boundary(255));
    }
    ShortString::try_new(text).unwrap_or_default()
}
