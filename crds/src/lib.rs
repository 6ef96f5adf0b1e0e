//! The custom resources of rivmesh: types, schema, validation and conditions.
