package com.example.shop;

import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.net.URI;
import java.util.concurrent.TimeUnit;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** Makes what the controllers need, from application.properties. */
@Configuration
public class Rafflecast {
  /** The connections to participation. One channel serves all threads. */
  @Bean(destroyMethod = "shutdownNow")
  public ManagedChannel participation(@Value("${rafflecast.participation}") String target) {
    return ManagedChannelBuilder.forTarget(target)
        .usePlaintext() // on this machine; elsewhere leave it out, and there is TLS
        .defaultLoadBalancingPolicy("round_robin")
        .keepAliveTime(10, TimeUnit.SECONDS)
        .keepAliveTimeout(3, TimeUnit.SECONDS)
        .keepAliveWithoutCalls(true)
        .build();
  }

  @Bean
  public Entries entries(ManagedChannel participation) {
    return new Entries(participation);
  }

  @Bean
  public OddsStream oddsStream(@Value("${rafflecast.gateway}") URI gateway) {
    return new OddsStream(gateway);
  }
}
