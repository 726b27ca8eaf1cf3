package com.example.shop;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.rafflecast.raffle.v1.EnterRequest;
import com.rafflecast.raffle.v1.EnterResponse;
import com.rafflecast.raffle.v1.ParticipationServiceGrpc;
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/** Enters members, each exactly once. Safe for concurrent use. */
public class Entries {
  private static final Duration LONGEST = Duration.ofSeconds(10);
  private final Channel participation;

  public Entries(Channel participation) {
    this.participation = participation;
  }

  /**
   * Places one entry. The request id stays the same over all attempts, so that an entry
   * whose answer was lost is not placed a second time.
   */
  public EnterResponse enter(long raffleId, String memberId) throws InterruptedException {
    EnterRequest request = EnterRequest.newBuilder()
        .setRaffleId(raffleId).setMemberId(memberId).setRequestId(UUID.randomUUID().toString()).build();
    long end = System.nanoTime() + LONGEST.toNanos();
    for (int attempt = 0; ; attempt++) {
      try {
        return ParticipationServiceGrpc.newBlockingStub(participation)
            .withDeadlineAfter(end - System.nanoTime(), TimeUnit.NANOSECONDS).enter(request);
      } catch (StatusRuntimeException e) {
        long wait = pause(e, attempt);
        if (!mayPass(e) || System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(wait) > end) {
          throw e;
        }
        Thread.sleep(wait);
      }
    }
  }

  /** Returns why a call failed, as in ENTRY_LIMIT_REACHED; "" if it was not the service that refused it. */
  public static String reason(StatusRuntimeException e) {
    return detail(e, ErrorInfo.class).map(ErrorInfo::getReason).orElse("");
  }

  private static boolean mayPass(StatusRuntimeException e) {
    Status.Code code = e.getStatus().getCode();
    return code == Status.Code.UNAVAILABLE
        || code == Status.Code.RESOURCE_EXHAUSTED && detail(e, RetryInfo.class).isPresent();
  }

  /** Returns the time that the service asks for, and a random time more, in milliseconds. */
  private static long pause(StatusRuntimeException e, int attempt) {
    long asked = detail(e, RetryInfo.class)
        .map(r -> r.getRetryDelay().getSeconds() * 1000 + r.getRetryDelay().getNanos() / 1_000_000 + 1).orElse(0L);
    return asked + ThreadLocalRandom.current().nextLong(Math.min(100L << Math.min(attempt, 6), 5000));
  }

  private static <T extends Message> Optional<T> detail(StatusRuntimeException e, Class<T> type) {
    for (Any detail : StatusProto.fromThrowable(e).getDetailsList()) {
      if (detail.is(type)) {
        try {
          return Optional.of(detail.unpack(type));
        } catch (InvalidProtocolBufferException damaged) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }
}
