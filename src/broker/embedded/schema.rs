//! The layout of every request that the broker takes, for [`super::guard`].
//!
//! From Apache Kafka's message definitions (`clients/src/main/resources/common/message/*Request.json`). Only layout counts
//! here: names and meanings are the decoder's business, and a test holds the two against each other.

use super::guard::Shape::{Array, Bytes, Fixed, List, Text};
use super::guard::{Field, Schema, Shape};

const BOOL: Shape = Fixed(1);
const INT8: Shape = Fixed(1);
const INT16: Shape = Fixed(2);
const INT32: Shape = Fixed(4);
const INT64: Shape = Fixed(8);
const UUID: Shape = Fixed(16);

const fn always(shape: Shape) -> Field {
    between(0, i16::MAX, shape)
}

const fn since(from: i16, shape: Shape) -> Field {
    between(from, i16::MAX, shape)
}

const fn until(to: i16, shape: Shape) -> Field {
    between(0, to, shape)
}

const fn between(from: i16, to: i16, shape: Shape) -> Field {
    Field { shape, from, to }
}

const fn schema(flexible: i16, fields: &'static [Field]) -> Schema {
    Schema { flexible, fields }
}

pub(crate) const API_VERSIONS: Schema = schema(3, &[since(3, Text), since(3, Text)]);

pub(crate) const PRODUCE: Schema = schema(
    9,
    &[
        always(Text),
        always(INT16),
        always(INT32),
        always(Array(&[
            until(12, Text),
            since(13, UUID),
            always(Array(&[always(INT32), always(Bytes)])),
        ])),
    ],
);

pub(crate) const FETCH: Schema = schema(
    12,
    &[
        until(14, INT32),
        always(INT32),
        always(INT32),
        always(INT32),
        always(INT8),
        since(7, INT32),
        since(7, INT32),
        always(Array(&[
            until(12, Text),
            since(13, UUID),
            always(Array(&[
                always(INT32),
                since(9, INT32),
                always(INT64),
                since(12, INT32),
                since(5, INT64),
                always(INT32),
            ])),
        ])),
        since(7, Array(&[until(12, Text), since(13, UUID), always(List(&INT32))])),
        since(11, Text),
    ],
);

pub(crate) const LIST_OFFSETS: Schema = schema(
    6,
    &[
        always(INT32),
        since(2, INT8),
        always(Array(&[
            always(Text),
            always(Array(&[always(INT32), since(4, INT32), always(INT64)])),
        ])),
        since(10, INT32),
    ],
);

pub(crate) const METADATA: Schema = schema(
    9,
    &[
        always(Array(&[since(10, UUID), always(Text)])),
        since(4, BOOL),
        between(8, 10, BOOL),
        since(8, BOOL),
    ],
);

pub(crate) const CREATE_TOPICS: Schema = schema(
    5,
    &[
        always(Array(&[
            always(Text),
            always(INT32),
            always(INT16),
            always(Array(&[always(INT32), always(List(&INT32))])),
            always(Array(&[always(Text), always(Text)])),
        ])),
        always(INT32),
        always(BOOL),
    ],
);

pub(crate) const DELETE_TOPICS: Schema = schema(
    4,
    &[
        since(6, Array(&[always(Text), always(UUID)])),
        until(5, List(&Text)),
        always(INT32),
    ],
);

pub(crate) const CREATE_PARTITIONS: Schema = schema(
    2,
    &[
        always(Array(&[
            always(Text),
            always(INT32),
            always(Array(&[always(List(&INT32))])),
        ])),
        always(INT32),
        always(BOOL),
    ],
);

pub(crate) const DESCRIBE_CONFIGS: Schema = schema(
    4,
    &[
        always(Array(&[always(INT8), always(Text), always(List(&Text))])),
        always(BOOL),
        since(3, BOOL),
    ],
);

pub(crate) const INCREMENTAL_ALTER_CONFIGS: Schema = schema(
    1,
    &[
        always(Array(&[
            always(INT8),
            always(Text),
            always(Array(&[always(Text), always(INT8), always(Text)])),
        ])),
        always(BOOL),
    ],
);

pub(crate) const DELETE_RECORDS: Schema = schema(
    2,
    &[
        always(Array(&[always(Text), always(Array(&[always(INT32), always(INT64)]))])),
        always(INT32),
    ],
);

pub(crate) const DESCRIBE_CLUSTER: Schema = schema(0, &[always(BOOL), since(1, INT8), since(2, BOOL)]);

pub(crate) const INIT_PRODUCER_ID: Schema = schema(2, &[always(Text), always(INT32), since(3, INT64), since(3, INT16)]);

pub(crate) const FIND_COORDINATOR: Schema = schema(3, &[until(3, Text), since(1, INT8), since(4, List(&Text))]);

pub(crate) const JOIN_GROUP: Schema = schema(
    6,
    &[
        always(Text),
        always(INT32),
        since(1, INT32),
        always(Text),
        since(5, Text),
        always(Text),
        always(Array(&[always(Text), always(Bytes)])),
        since(8, Text),
    ],
);

pub(crate) const SYNC_GROUP: Schema = schema(
    4,
    &[
        always(Text),
        always(INT32),
        always(Text),
        since(3, Text),
        since(5, Text),
        since(5, Text),
        always(Array(&[always(Text), always(Bytes)])),
    ],
);

pub(crate) const HEARTBEAT: Schema = schema(4, &[always(Text), always(INT32), always(Text), since(3, Text)]);

pub(crate) const LEAVE_GROUP: Schema = schema(
    4,
    &[
        always(Text),
        until(2, Text),
        since(3, Array(&[always(Text), always(Text), since(5, Text)])),
    ],
);

pub(crate) const OFFSET_COMMIT: Schema = schema(
    8,
    &[
        always(Text),
        always(INT32),
        always(Text),
        since(7, Text),
        until(4, INT64),
        always(Array(&[
            always(Text),
            always(Array(&[always(INT32), always(INT64), since(6, INT32), always(Text)])),
        ])),
    ],
);

pub(crate) const OFFSET_FETCH: Schema = schema(
    6,
    &[
        until(7, Text),
        until(7, Array(&[always(Text), always(List(&INT32))])),
        since(
            8,
            Array(&[
                always(Text),
                since(9, Text),
                since(9, INT32),
                always(Array(&[always(Text), always(List(&INT32))])),
            ]),
        ),
        since(7, BOOL),
    ],
);

pub(crate) const OFFSET_DELETE: Schema = schema(
    i16::MAX,
    &[
        always(Text),
        always(Array(&[always(Text), always(Array(&[always(INT32)]))])),
    ],
);

pub(crate) const CONSUMER_GROUP_HEARTBEAT: Schema = schema(
    0,
    &[
        always(Text),
        always(Text),
        always(INT32),
        always(Text),
        always(Text),
        always(INT32),
        always(List(&Text)),
        since(1, Text),
        always(Text),
        always(Array(&[always(UUID), always(List(&INT32))])),
    ],
);

pub(crate) const LIST_GROUPS: Schema = schema(3, &[since(4, List(&Text)), since(5, List(&Text))]);

pub(crate) const DESCRIBE_GROUPS: Schema = schema(5, &[always(List(&Text)), since(3, BOOL)]);

pub(crate) const DELETE_GROUPS: Schema = schema(2, &[always(List(&Text))]);
