target_link_libraries(bench-codecs PRIVATE avro)  # libavro-dev: the peer
