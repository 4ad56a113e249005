target_link_libraries(bench-avro PRIVATE avro)  # libavro-dev: the peer
