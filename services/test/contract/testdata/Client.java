// Places an entry with gRPC for Java and reads the details of errors. Prints what it
// saw, as JSON.

import com.google.protobuf.Any;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.rafflecast.raffle.v1.EnterRequest;
import com.rafflecast.raffle.v1.EnterResponse;
import com.rafflecast.raffle.v1.ParticipationServiceGrpc;
import com.rafflecast.raffle.v1.ParticipationServiceGrpc.ParticipationServiceBlockingStub;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.StatusProto;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

public final class Client {
  public static void main(String[] args) throws Exception {
    ManagedChannel channel = NettyChannelBuilder.forTarget(args[0]).usePlaintext().build();
    ParticipationServiceBlockingStub stub = ParticipationServiceGrpc.newBlockingStub(channel).withDeadlineAfter(30, TimeUnit.SECONDS);
    EnterRequest once = EnterRequest.newBuilder().setRaffleId(1).setMemberId("java").build();
    EnterRequest request = once.toBuilder().setRequestId(UUID.randomUUID().toString()).build();
    stub.enter(request);
    EnterResponse again = stub.enter(request);
    StatusRuntimeException limit = failure(stub, once);
    StatusRuntimeException invalid = failure(stub, once.toBuilder().setMemberId("not valid").build());
    ErrorInfo info = detail(limit, ErrorInfo.class);
    System.out.printf(
        "{\"memberEntries\":%d,\"replayed\":%b,\"memberId\":\"%s\",\"code\":\"%s\",\"reason\":\"%s\","
            + "\"domain\":\"%s\",\"limit\":\"%s\",\"violatedField\":\"%s\"}%n",
        again.getMemberEntries(), again.getReplayed(), again.getEntry().getMemberId(),
        limit.getStatus().getCode(), info.getReason(), info.getDomain(), info.getMetadataOrThrow("limit"),
        detail(invalid, BadRequest.class).getFieldViolations(0).getField());
    channel.shutdownNow();
  }

  private static StatusRuntimeException failure(ParticipationServiceBlockingStub stub, EnterRequest request) {
    try {
      stub.enter(request);
    } catch (StatusRuntimeException e) {
      return e;
    }
    throw new IllegalStateException("the call succeeded");
  }

  private static <T extends Message> T detail(StatusRuntimeException e, Class<T> type) throws Exception {
    for (Any detail : StatusProto.fromThrowable(e).getDetailsList()) {
      if (detail.is(type)) {
        return detail.unpack(type);
      }
    }
    throw new IllegalStateException("no " + type + " in " + e);
  }

  private Client() {}
}
